import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";

import { errorCode } from "../errors.js";
import { ConfigError } from "./config-error.js";
import type { Mesh } from "./model.js";
import { parseMesh } from "./parse.js";

const MAX_FILE_BYTES = 1024 * 1024;

/** Reads and checks the hopgate.yaml at `path`. Throws ConfigError if it cannot be read or used. */
export async function loadMesh(path: string): Promise<Mesh> {
  const bytes = await readAtMost(path, MAX_FILE_BYTES + 1);
  if (bytes.length > MAX_FILE_BYTES) {
    throw unusable(
      path,
      "the file is larger than 1 MiB",
      "name the hopgate.yaml itself; one of this size is another file",
    );
  }
  if (!isUtf8(bytes)) throw notUtf8(path, bytes);
  return parseMesh(bytes.toString("utf8"), path);
}

/** The first `limit` bytes of the file. Reading stops there: a device has no end. */
async function readAtMost(path: string, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(path, { end: limit - 1 })) chunks.push(chunk as Buffer);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  return Buffer.concat(chunks);
}

function unreadable(path: string, cause: unknown): ConfigError {
  const code = errorCode(cause);
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return unusable(path, "there is no such file", "name the hopgate.yaml, or write one with hopgate init");
    case "EISDIR":
      return unusable(path, "this is a directory", "name the hopgate.yaml in it");
    case "EACCES":
    case "EPERM":
      return unusable(path, "you may not read this file", "give yourself the right to (chmod +r), or name another");
    default:
      return unusable(path, `the file cannot be read (${code})`, "name one that can");
  }
}

function notUtf8(path: string, bytes: Buffer): ConfigError {
  const decoded = Buffer.from(bytes.toString("utf8"));
  const wrong = bytes.findIndex((byte, index) => byte !== decoded[index]);
  const before = bytes.subarray(0, wrong).toString("utf8").split("\n");
  const [message, fix] = ["the file is not UTF-8 from here on", "save it as UTF-8"];
  return new ConfigError([
    { file: path, line: before.length, column: (before.at(-1) ?? "").length + 1, path: "", message, fix },
  ]);
}

function unusable(path: string, message: string, fix: string): ConfigError {
  return new ConfigError([{ file: path, line: 1, column: 1, path: "", message, fix }]);
}

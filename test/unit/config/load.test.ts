import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ConfigError } from "../../../shim/config/config-error.js";
import { loadMesh } from "../../../shim/config/load.js";
import { EXAMPLE } from "./example.js";

const folder = mkdtempSync(join(tmpdir(), "hopgate-load-"));
afterAll(() => rmSync(folder, { recursive: true }));

function written(content: string | Buffer): string {
  const path = join(folder, "hopgate.yaml");
  writeFileSync(path, content);
  return path;
}

test("reads a file, with or without a byte order mark", async () => {
  expect((await loadMesh(written(EXAMPLE))).name).toBe("ai-platform");
  expect((await loadMesh(written(`\ufeff${EXAMPLE}`))).name).toBe("ai-platform");
});

test("names the file in what is wrong in it", async () => {
  const path = written("name: A\n");
  await expect(loadMesh(path)).rejects.toThrow(`${path}:1:7: name: "A" is not a name`);
});

test.each([
  [
    "a file that is not there",
    () => join(folder, "none.yaml"),
    "1:1: there is no such file; name the hopgate.yaml, or write one with hopgate init",
  ],
  [
    "a file under a file",
    () => join(written(EXAMPLE), "x"),
    "1:1: there is no such file; name the hopgate.yaml, or write one with hopgate init",
  ],
  ["a directory", () => folder, "1:1: this is a directory; name the hopgate.yaml in it"],
  [
    "a name with a zero byte",
    () => `${folder}/\0`,
    "1:1: the file cannot be read (ERR_INVALID_ARG_VALUE); name one that can",
  ],
  [
    "more than 1 MiB",
    () => written("#".repeat(1024 * 1024 + 1)),
    "1:1: the file is larger than 1 MiB; name the hopgate.yaml itself; one of this size is another file",
  ],
  [
    "what has no end",
    () => "/dev/zero",
    "1:1: the file is larger than 1 MiB; name the hopgate.yaml itself; one of this size is another file",
  ],
  [
    "Latin-1",
    () => written(Buffer.from("name: a\n# ä, Bär\n", "latin1")),
    "2:3: the file is not UTF-8 from here on; save it as UTF-8",
  ],
  [
    "a character cut off at the end",
    () => written(Buffer.from("name: ä").subarray(0, 7)),
    "1:7: the file is not UTF-8 from here on; save it as UTF-8",
  ],
])("refuses %s", async (_, path, said) => {
  const named = path();
  const error: unknown = await loadMesh(named).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toHaveProperty("message", `${named}:${said}`.replace("\0", "?"));
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { text } from "node:stream/consumers";

import { Failure } from "../../../shim/errors.js";

const TIMEOUT_MS = 60_000;

interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly stdin?: string;
}

/** Runs a program to its end; returns what it printed. @throws Failure with its complaint if it ends with another code than 0 */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { env = process.env, cwd, stdin = "" } = options;
  const child = spawn(file, args, { env, cwd, stdio: ["pipe", "pipe", "pipe"], timeout: TIMEOUT_MS });
  // One that ends without reading its stdin says why on stderr.
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  if (child.exitCode === 0) return stdout;
  throw new Failure(
    `${basename(file)} ${args.join(" ").slice(0, 200)}: ${stderr.trim() || `exit code ${String(child.exitCode)}`}`,
  );
}

/**
 * The keeper's own process (`openKeeper` in keeper.ts starts it): the parent of every Envoy and the owner of the work dir.
 * It lives in a session of its own, where a terminal's Ctrl-C does not reach it, and reads requests from a pipe that
 * only hopgate holds. However hopgate ends, by kill -9 too, the kernel closes that pipe, and at its end the keeper kills
 * what it started, removes the work dir and ends.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

import { errorCode } from "../errors.js";
import type { KeeperEvent, KeeperRequest, RunRequest } from "./keeper.js";
import { signalGroup } from "./process-group.js";

const workDir = makeWorkDir();
const children = new Map<number, ChildProcess>();
let ending = false;

function tell(event: KeeperEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Absolute, for Envoy's working directory is another one. mkdtemp gives mode 0700: private keys lie in it. */
function makeWorkDir(): string {
  try {
    return mkdtempSync(join(resolve(tmpdir()), "hopgate-"));
  } catch (error) {
    tell({ event: "noWorkDir", reason: errorCode(error) });
    process.exit(1);
  }
}

function handle(request: KeeperRequest): void {
  if (request.do === "signal") {
    signalGroup(children.get(request.id)?.pid, request.signal);
    return;
  }
  try {
    run(request);
  } catch (error) {
    tell({ event: "failed", id: request.id, reason: String(error) });
  }
}

function run({ id, file, args, cwd, env, logPath }: RunRequest): void {
  const log = openSync(logPath, "w", 0o600);
  // The leader of a process group: a wrapper script's Envoy gets the signals too.
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.once("error", (error) => tell({ event: "failed", id, reason: error.message }));
  if (child.pid === undefined) return;
  children.set(id, child);
  tell({ event: "running", id, pid: child.pid });
  child.once("exit", (code, signal) => {
    children.delete(id);
    signalGroup(child.pid, "SIGKILL");
    if (!ending) tell({ event: "exited", id, code, signal });
  });
}

async function end(exitCode: number): Promise<void> {
  if (ending) return;
  ending = true;
  const ends = [...children.values()].map((child) => once(child, "exit"));
  for (const child of children.values()) signalGroup(child.pid, "SIGKILL");
  await Promise.all(ends);
  // What a killed child started may write for a moment more.
  rmSync(workDir, { recursive: true, force: true, maxRetries: 5 });
  process.exit(exitCode);
}

// Nobody reads any more: the end of the requests is near too.
process.stdout.on("error", () => undefined);
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void end(1));

const requests = createInterface({ input: process.stdin });
requests.on("line", (line) => {
  try {
    if (!ending) handle(JSON.parse(line) as KeeperRequest);
  } catch {
    // Half a line, from a hopgate that died while it wrote.
    void end(1);
  }
});
requests.on("close", () => void end(0));

tell({ event: "open", workDir });

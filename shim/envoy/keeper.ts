import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

import { Failure } from "../errors.js";
import { signalGroup } from "./process-group.js";

/** A program to run, in a process group of its own. Its stdout and stderr go to `logPath`, which is emptied before; stdin is empty. */
export interface Program {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to the environment of hopgate. */
  readonly env?: Readonly<Record<string, string>>;
  readonly logPath: string;
}

/** How a program ended: by itself, because the keeper was closed, or because the keeper itself was killed. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly because: "ended" | "closed" | "keeperLost";
}

export interface RunningProgram {
  readonly pid: number;
  readonly ended: Promise<ProgramEnd>;
  /** Signals the program and what it started. */
  signal(name: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Sees to it that nothing is left of a local mesh. Programs run as children of a separate process, which kills them
 * and removes the work dir when this process ends, in whatever way.
 */
export interface Keeper {
  /** An empty folder with mode 0700 for configuration, keys and logs. Goes when the keeper does. */
  readonly workDir: string;
  /** @throws Failure if the program cannot be started or the keeper is gone. */
  run(program: Program): Promise<RunningProgram>;
  /** Kills what still runs, removes the work dir, and ends the keeper. May be called twice. */
  close(): Promise<void>;
}

// The lines of JSON between hopgate and the keeper's process.
export type RunRequest = { readonly do: "run"; readonly id: number } & Program;
export type KeeperRequest =
  RunRequest | { readonly do: "signal"; readonly id: number; readonly signal: "SIGTERM" | "SIGKILL" };
export type KeeperEvent =
  | { readonly event: "open"; readonly workDir: string }
  | { readonly event: "noWorkDir"; readonly reason: string }
  | { readonly event: "running"; readonly id: number; readonly pid: number }
  | { readonly event: "failed"; readonly id: number; readonly reason: string }
  | { readonly event: "exited"; readonly id: number; readonly code: number | null; readonly signal: string | null };

/** Starts a keeper. It holds this process's event loop until it is closed. @throws Failure if it does not start. */
export async function openKeeper(): Promise<Keeper> {
  const child = spawn(process.execPath, [keeperProgram()], { detached: true, stdio: ["pipe", "pipe", "inherit"] });
  const connection = new Connection(child);
  await connection.opened;
  return connection;
}

/** Node 20 runs no TypeScript: from the sources (in tests), the last build's program is taken. */
function keeperProgram(): string {
  const built = import.meta.url.endsWith(".ts") ? "../../build/shim/envoy/keeper-process.js" : "./keeper-process.js";
  const path = fileURLToPath(new URL(built, import.meta.url));
  if (!existsSync(path)) throw new Failure(`${path} is missing`, { fix: "Build hopgate: npm run build." });
  return path;
}

type KeeperChild = ChildProcessByStdio<Writable, Readable, null>;

interface Pending {
  readonly resolve: (program: RunningProgram) => void;
  readonly reject: (failure: Failure) => void;
}

interface Running {
  readonly pid: number;
  readonly end: (end: ProgramEnd) => void;
}

/** This process's end of the two pipes. */
class Connection implements Keeper {
  readonly opened: Promise<void>;
  workDir = "";
  private readonly child: KeeperChild;
  private readonly gone: Promise<unknown>;
  private readonly starting = new Map<number, Pending>();
  private readonly running = new Map<number, Running>();
  private lastId = 0;
  private state: "open" | "closing" | "gone" = "open";

  constructor(child: KeeperChild) {
    this.child = child;
    // Writing to a keeper that has gone is no defect: its exit is what is reacted to.
    child.stdin.on("error", () => undefined);
    this.gone = once(child, "close").finally(() => this.lost());
    this.opened = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const event = JSON.parse(line) as KeeperEvent;
        if (event.event === "open") {
          this.workDir = event.workDir;
          resolve();
        } else if (event.event === "noWorkDir") reject(noWorkDir(event.reason));
        else this.react(event);
      });
      this.gone.then(
        () => reject(keeperGone(child.pid)),
        (error: unknown) => reject(new Failure("The keeper of the Envoys cannot be started", { cause: error })),
      );
    });
  }

  run(program: Program): Promise<RunningProgram> {
    if (this.state !== "open") return Promise.reject(keeperGone(this.child.pid));
    const id = (this.lastId += 1);
    return new Promise((resolve, reject) => {
      this.starting.set(id, { resolve, reject });
      this.send({ do: "run", id, ...program });
    });
  }

  async close(): Promise<void> {
    if (this.state === "open") this.state = "closing";
    this.child.stdin.end();
    await this.gone;
  }

  private send(request: KeeperRequest): void {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
  }

  private react(event: Exclude<KeeperEvent, { event: "open" | "noWorkDir" }>): void {
    const { id } = event;
    const starting = this.starting.get(id);
    this.starting.delete(id);
    switch (event.event) {
      case "running":
        return starting?.resolve(this.program(id, event.pid));
      case "failed":
        return starting?.reject(new Failure(`it cannot be started: ${event.reason}`));
      case "exited":
        return this.settle(id, event.code, event.signal, this.state === "closing" ? "closed" : "ended");
    }
  }

  private program(id: number, pid: number): RunningProgram {
    const ended = new Promise<ProgramEnd>((resolve) => this.running.set(id, { pid, end: resolve }));
    return { pid, ended, signal: (signal) => this.send({ do: "signal", id, signal }) };
  }

  private settle(id: number, code: number | null, signal: string | null, because: ProgramEnd["because"]): void {
    this.running.get(id)?.end({ code, signal, because });
    this.running.delete(id);
  }

  /** The keeper has ended: as asked, or somebody killed it, and then what it kept is still there. */
  private lost(): void {
    const asked = this.state === "closing";
    this.state = "gone";
    if (!asked) {
      for (const { pid } of this.running.values()) signalGroup(pid, "SIGKILL");
      if (this.workDir !== "") rmSync(this.workDir, { recursive: true, force: true, maxRetries: 5 });
    }
    for (const id of [...this.running.keys()]) this.settle(id, null, "SIGKILL", asked ? "closed" : "keeperLost");
    for (const { reject } of this.starting.values()) reject(keeperGone(this.child.pid));
    this.starting.clear();
  }
}

function keeperGone(pid: number | undefined): Failure {
  return new Failure(`The keeper of the Envoys (process ${pid ?? "that never was"}) has ended`);
}

function noWorkDir(reason: string): Failure {
  return new Failure(`No work dir can be made in ${resolve(tmpdir())} (TMPDIR): ${reason}`, {
    fix: "Set TMPDIR to a folder with room that you may write to.",
  });
}

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { Failure } from "../shim/errors.js";

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 30_000;

/** A program under Valgrind's Callgrind (https://valgrind.org/docs/manual/cl-manual.html), which counts the instructions that it executes. */
export class Callgrind {
  private dumps = 0;

  constructor(
    private readonly valgrind: string,
    /** An existing folder for what it writes, of this program alone. */
    private readonly dir: string,
  ) {}

  /** Writes a program that takes the arguments of `program` and runs it, and gives its path. Nothing is counted until `begin`. */
  async wrap(program: string): Promise<string> {
    const path = join(this.dir, "counted");
    const options = ["--quiet", "--tool=callgrind", "--instr-atstart=no", `--callgrind-out-file=${this.dumpPath}`];
    // V8 writes code, and writes it again.
    const command = [this.valgrind, ...options, "--smc-check=all-non-file", this.pipes, program].map(quoted).join(" ");
    await writeFile(path, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o700 });
    return path;
  }

  async begin(pid: number): Promise<void> {
    await this.tell(pid, "instrumentation", "on");
  }

  /** How many instructions all threads of the process execute outside of the kernel while `work` runs. */
  async count(pid: number, work: () => Promise<unknown>): Promise<number> {
    await this.tell(pid, "zero");
    await work();
    await this.tell(pid, "dump");
    this.dumps += 1;
    const dump = await readFile(`${this.dumpPath}.${this.dumps}`, "utf8");
    const counted = /^totals: (\d+)/m.exec(dump)?.[1];
    if (counted === undefined) throw new Failure("Valgrind has counted nothing.");
    return Number(counted);
  }

  private get dumpPath(): string {
    return join(this.dir, "callgrind.out");
  }

  private get pipes(): string {
    return `--vgdb-prefix=${join(this.dir, "vgdb")}`;
  }

  private async tell(pid: number, ...words: readonly string[]): Promise<void> {
    try {
      const args = [this.pipes, `--pid=${pid}`, ...words];
      await run(join(dirname(this.valgrind), "vgdb"), args, { timeout: COMMAND_TIMEOUT_MS });
    } catch (error) {
      throw new Failure(`vgdb ${words.join(" ")}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
        fix: "Valgrind is asked by ptrace: allow it (kernel.yama.ptrace_scope, CAP_SYS_PTRACE), or leave instructions out by --only.",
      });
    }
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

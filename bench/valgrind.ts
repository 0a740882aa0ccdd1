import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { Failure } from "../shim/errors.js";

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 30_000;

export interface Counted {
  readonly instructions: number;
  /** Those of code that is in no file, since the program has compiled it: of WebAssembly, the VM's. */
  readonly compiled: number;
}

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

  /** What all threads of the process execute outside of the kernel while `work` runs. */
  async count(pid: number, work: () => Promise<unknown>): Promise<Counted> {
    await this.tell(pid, "zero");
    await work();
    await this.tell(pid, "dump");
    this.dumps += 1;
    const dump = await readFile(`${this.dumpPath}.${this.dumps}`, "utf8");
    return countedIn(dump, anonymousRanges(await readFile(`/proc/${pid}/maps`, "utf8")));
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

type Range = readonly [start: number, end: number];

/** The parts of an address space that are of no file, out of /proc/PID/maps (proc(5)). */
export function anonymousRanges(maps: string): readonly Range[] {
  return [...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ 0 *$/gm)].map(([, start = "", end = ""]) => [
    Number.parseInt(start, 16),
    Number.parseInt(end, 16),
  ]);
}

/** Sums a dump (https://valgrind.org/docs/manual/cl-format.html): names are told once, and then by their number; a function without one is its address. */
export function countedIn(dump: string, anonymous: readonly Range[]): Counted {
  const compiledById = new Map<string, boolean>();
  let [instructions, compiled] = [0, 0];
  let [isCompiled, isOfCallee] = [false, false];
  for (const line of dump.split("\n")) {
    const [, id, name] = /^c?fn=\((\d+)\)(?: (.*))?$/.exec(line) ?? [];
    if (id !== undefined) {
      if (name !== undefined)
        compiledById.set(id, isIn(anonymous, Number.parseInt(/^0x[0-9a-f]+/.exec(name)?.[0] ?? "")));
      if (line.startsWith("fn=")) isCompiled = compiledById.get(id) === true;
    } else if (line.startsWith("calls=")) {
      isOfCallee = true; // the next line: what the called function used, which has lines of its own
    } else if (/^[\d+*-]/.test(line)) {
      const cost = isOfCallee ? 0 : Number(line.split(" ")[1] ?? 0);
      isOfCallee = false;
      instructions += cost;
      if (isCompiled) compiled += cost;
    }
  }
  if (instructions === 0) throw new Failure("Valgrind has counted nothing.");
  return { instructions, compiled };
}

function isIn(ranges: readonly Range[], address: number): boolean {
  return ranges.some(([start, end]) => start <= address && address < end);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { stamped } from "../../shim/module/stamp.js";
import { packageRoot, wasmPath } from "../../shim/package-root.js";

/** The command as a user runs it: a process of its own, on a file of its own. */

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Workplace {
  private constructor(private readonly folder: string) {}

  static async open(): Promise<Workplace> {
    return new Workplace(await mkdtemp(join(tmpdir(), "hopgate-deploy-test-")));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await writeFile(this.path(name), content);
    return this.path(name);
  }

  async run(...args: readonly string[]): Promise<Ran> {
    const { child, ended } = this.start(...args);
    child.stdin?.end();
    return ended;
  }

  /** A command that is running. */
  start(...args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ran> } {
    const main = join(packageRoot(), "build/shim/main.js");
    const child = spawn(process.execPath, [main, ...args], {
      cwd: this.folder,
      env: { ...process.env, NO_COLOR: "1" },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
    const ended = once(child, "close").then(([code]) => ({ code: code as number | null, stdout, stderr }));
    return { child, ended };
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Another build of the filter that does the same: `name` is in a custom section of it. */
export function otherBuild(name: string): Buffer {
  const text = Buffer.from(name);
  // https://webassembly.github.io/spec/core/binary/modules.html#custom-section; both lengths fit a byte.
  const section = Buffer.from([0, text.length + 1, text.length, ...text]);
  return stamped(Buffer.concat([readFileSync(wasmPath()), section]));
}

/** A build of the filter that does not know a field of its configuration. */
export function moduleWithout(field: string): Buffer {
  const module = readFileSync(wasmPath()).toString("latin1");
  return stamped(Buffer.from(module.replaceAll(field, "x".repeat(field.length)), "latin1"));
}

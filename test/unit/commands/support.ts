/** Runs the command line in this process, with an output that remembers. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../../shim/run.js";
import { exampleConfigPath } from "../../../shim/package-root.js";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function hopgate(...argv: readonly string[]): Promise<Ran> {
  return hopgateWith({}, ...argv);
}

export interface Surroundings {
  /** Ends the command. */
  readonly signal?: AbortSignal;
  /** What somebody types. */
  readonly stdin?: NodeJS.ReadableStream;
  /** Told of each piece of output. */
  readonly onOutput?: (text: string) => void;
}

export async function hopgateWith(
  { signal = new AbortController().signal, stdin, onOutput }: Surroundings,
  ...argv: readonly string[]
): Promise<Ran> {
  let stdout = "";
  let stderr = "";
  const io = {
    stdin,
    stdout: { write: (text: string) => ((stdout += text), onOutput?.(text)) },
    stderr: { write: (text: string) => ((stderr += text), onOutput?.(text)) },
    env: {},
  };
  const code = await run(argv, io, signal);
  return { code, stdout, stderr };
}

/** What ran well, as JSON. */
export async function hopgateJson<T>(...argv: readonly string[]): Promise<T> {
  const { stdout, stderr } = await hopgate(...argv, "-o", "json");
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

/** `npm run build` makes it. */
export const isFilterBuilt = existsSync(join(exampleConfigPath(), "../../../build/hopgate.wasm"));

export interface Folder {
  readonly path: string;
  /** Writes a file, and gives its path. */
  write(name: string, text: string): string;
  remove(): void;
}

export function temporaryFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "hopgate-commands-test-"));
  return {
    path,
    write: (name, text) => {
      writeFileSync(join(path, name), text);
      return join(path, name);
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/**
 * The AssemblyScript compiler. TypeScript must not see its declarations (hence the variable): they are ambient and would
 * change what `Array`, `String` and others look like in every file of the program, `at` never giving undefined and so on.
 */
interface Compiler {
  main(args: readonly string[], host: Host): Promise<{ readonly error: Error | null }>;
}

interface Host {
  readonly stderr: { write(text: string): void };
  readFile?(name: string): string | null;
  listFiles?(): string[];
  writeFile(name: string, contents: Uint8Array | string): void;
}

const moduleName = "assemblyscript/asc";
const { default: asc } = (await import(moduleName)) as { default: Compiler };

export interface Compilation {
  readonly wasm: Uint8Array<ArrayBuffer>;
  /** Warnings and the like, as the command prints them. */
  readonly messages: string;
}

/** Runs `asc ARGS` on the files of this folder, or on `sources` alone, and writes none. @throws if they do not compile. */
export async function compile(
  args: readonly string[],
  sources?: Readonly<Record<string, string>>,
): Promise<Compilation> {
  let wasm: Uint8Array<ArrayBuffer> | undefined;
  let messages = "";
  const { error } = await asc.main(args, {
    stderr: { write: (text) => (messages += text) },
    ...(sources && { readFile: (name) => sources[name] ?? null, listFiles: () => [] }),
    writeFile: (name, contents) => {
      if (name.endsWith(".wasm") && typeof contents !== "string") wasm = new Uint8Array(contents);
    },
  });
  if (error !== null || wasm === undefined) throw new Error(`it does not compile: ${messages}`, { cause: error });
  return { wasm, messages };
}

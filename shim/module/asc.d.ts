/**
 * What the tests use of AssemblyScript's compiler. tsconfig.json puts this in the place of the compiler's own declarations: they
 * are ambient and change Array, String and others for every file of the program (`at` never gives undefined, and so on).
 */
interface Host {
  /** Null: there is no such file. */
  readonly readFile?: (name: string) => string | null;
  readonly writeFile?: (name: string, contents: Uint8Array | string) => void;
  readonly listFiles?: (folder: string) => string[];
  readonly stderr?: { write(text: string): void };
}

interface Result {
  readonly error: Error | null;
  /** What was printed, unless the host has a stderr of its own. */
  readonly stderr: { toString(): string };
}

declare const asc: {
  readonly version: string;
  main(args: readonly string[], host?: Host): Promise<Result>;
};
export default asc;

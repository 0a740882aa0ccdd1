import { readFileSync, writeFileSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";

import { errorCode, UsageError } from "../errors.js";
import type { Io } from "../output/io.js";
import { exampleConfigPath } from "../package-root.js";

export interface InitOptions {
  readonly force?: boolean | undefined;
}

/** Writes the shipped example to `file`, or to stdout for `-`. Throws UsageError if the file is there, but for `force`. */
export function init(file: string, options: InitOptions, io: Io): number {
  const directory = file === "-" ? process.cwd() : dirname(resolve(file));
  const example = exampleConfigPath();
  const schema = resolve(dirname(example), "../hopgate.schema.json");
  const text = readFileSync(example, "utf8").replace(/\$schema=\S+/, `$schema=${schemaReference(schema, directory)}`);
  if (file === "-") {
    io.stdout.write(text);
    return 0;
  }
  write(file, text, options);
  io.stderr.write(`Wrote ${file}. Put your own services in, then: hopgate check, and hopgate up --once.\n`);
  return 0;
}

/**
 * How a file in `directory` names the schema, so that editors find it: relative to the file, for the file is shared with people
 * who have the package elsewhere. Where the package is no part of the file's project, as it is once the project depends on it.
 */
export function schemaReference(schema: string, directory: string): string {
  const parts = `${sep}node_modules${sep}`;
  const project = schema.includes(parts) ? schema.slice(0, schema.indexOf(parts)) : resolve(schema, "../..");
  const isInside = directory === project || directory.startsWith(project + sep);
  const path = isInside ? relative(directory, schema) : "node_modules/hopgate/manifests/hopgate.schema.json";
  const portable = path.split(sep).join("/");
  return portable.startsWith("../") ? portable : `./${portable}`;
}

function write(file: string, text: string, { force }: InitOptions): void {
  try {
    writeFileSync(file, text, { flag: force === true ? "w" : "wx" });
  } catch (cause) {
    const code = errorCode(cause);
    if (code === "EEXIST")
      throw new UsageError(`${file} is there already.`, "Name another file, or overwrite it with --force.");
    throw new UsageError(
      `${file} cannot be written (${code}).`,
      "Name a file in a directory that exists and that you may write to.",
    );
  }
}

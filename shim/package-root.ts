import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Failure } from "./errors.js";

/** The folder of the package, whether this runs from the sources or from build/. */
const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(directory: string): string {
  if (existsSync(join(directory, "package.json"))) return directory;
  return findRoot(dirname(directory));
}

/** The folder of the package, as an absolute path. */
export function packageRoot(): string {
  return PACKAGE_ROOT;
}

/** The version in package.json. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as { version: string };
  return version;
}

/** The hopgate.yaml that is shipped. */
export function exampleConfigPath(): string {
  return join(PACKAGE_ROOT, "manifests", "examples", "hopgate.yaml");
}

/** A file of the package, by its path from the root. */
export function packagePath(...parts: readonly string[]): string {
  return join(PACKAGE_ROOT, ...parts);
}

/** The compiled filter. @throws Failure if it has not been built. */
export function wasmPath(): string {
  const path = join(PACKAGE_ROOT, "build", "hopgate.wasm");
  if (!existsSync(path)) throw new Failure(`The filter ${path} is missing.`, { fix: "Build it: npm run build" });
  return path;
}

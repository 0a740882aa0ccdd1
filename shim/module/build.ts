import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Failure } from "../errors.js";
import { stamped } from "./stamp.js";

const MODULE = join("build", "hopgate.wasm");

/**
 * Compiles filter/ below `root` and stamps what comes of it. The same sources and the same compiler give the same bytes.
 * Returns the path of the module. @throws Failure if the compiler is not installed, or refuses the sources
 */
export async function buildModule(root: string): Promise<string> {
  const compiler = await import("assemblyscript/asc").catch((cause: unknown) => {
    const fix = "In a clone of the repository, run npm ci. The published package carries the module, ready to push.";
    throw new Failure("The AssemblyScript compiler is not installed.", { fix, cause });
  });
  const { error, stderr } = await compiler.default.main([
    "--config",
    "asconfig.json",
    "--baseDir",
    root,
    "--target",
    "release",
  ]);
  if (error !== null) throw new Failure(`The filter does not compile.\n${stderr.toString().trim()}`, { cause: error });
  const path = join(root, MODULE);
  writeFileSync(path, stamped(readFileSync(path)));
  return path;
}

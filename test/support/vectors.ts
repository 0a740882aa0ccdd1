/** Test vectors that others wrote: beside the checkout or where HOPGATE_VECTORS says; a public clone has none. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = process.env["HOPGATE_VECTORS"] ?? fileURLToPath(new URL("../../../shared/vectors", import.meta.url));

/** Path of one of them, or undefined with the reason printed: then its tests are skipped. */
export function vectors(...path: string[]): string | undefined {
  const found = join(ROOT, ...path);
  if (existsSync(found)) return found;
  process.stderr.write(`skipped: no ${path.join("/")} at ${ROOT}; HOPGATE_VECTORS says where else\n`);
  return undefined;
}

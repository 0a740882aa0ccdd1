import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { cacheRoot } from "../../shim/envoy/install.js";

const VERSION = "1.6.0";

/**
 * The real func-e, built from its Go module into hopgate's cache, or undefined with the reason printed: then what needs it
 * is skipped.
 */
export async function realFuncE(): Promise<string | undefined> {
  const cache = cacheRoot(process.env);
  const path = join(cache, "func-e", VERSION, "func-e");
  if (existsSync(path)) return path;
  mkdirSync(join(cache, "func-e"), { recursive: true });
  const fresh = mkdtempSync(join(cache, "func-e", "build-"));
  try {
    await promisify(execFile)("go", ["install", `github.com/tetratelabs/func-e/cmd/func-e@v${VERSION}`], {
      env: { ...process.env, GOBIN: fresh, CGO_ENABLED: "0" },
      timeout: 300_000,
    });
    if (!existsSync(path)) renameSync(fresh, join(cache, "func-e", VERSION));
    return path;
  } catch (error) {
    process.stderr.write(
      `Skipped, for func-e cannot be built (it needs Go): ${String(error).split("\n", 1)[0] ?? ""}\n`,
    );
    return undefined;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

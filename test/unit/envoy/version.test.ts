import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { askVersion, parseVersion, versionServes } from "../../../shim/envoy/version.js";
import { hang, pidIn, script, temporaryFolder, untilEnded, versionLine } from "./fakes.js";

describe("parseVersion", () => {
  it.each([
    ["\n/usr/bin/envoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n\n", "1.40.0"],
    ["envoy  version: 9e5580/1.41.0-dev/Modified/DEBUG/BoringSSL-FIPS", "1.41.0-dev"],
    ["curl 8.5.0 (x86_64-pc-linux-gnu)", undefined],
    ["", undefined],
  ])("reads %j as %j", (text, version) => {
    expect(parseVersion(text)).toBe(version);
  });
});

describe("versionServes", () => {
  it.each([
    ["1.40.0", true],
    ["1.40.3", true],
    ["1.41.0-dev", true],
    ["1.100.0", true],
    ["1.39.9", false],
    ["1.4.0", false],
    ["2.0.0", false],
    ["0.40.0", false],
  ])("%s: %j", (version, serves) => {
    expect(versionServes(version)).toBe(serves);
  });
});

describe("askVersion", () => {
  it("gives the last words of a program that cannot run", async () => {
    const path = join(await temporaryFolder(), "envoy");
    await script(path, "echo 'some: noise' >&2", "echo 'envoy: GLIBC_2.31 not found' >&2", "exit 1");
    expect(await askVersion(path)).toEqual({ envoy: false, reason: "it does not run: envoy: GLIBC_2.31 not found" });
  });

  it("does not take another program for Envoy", async () => {
    const path = await script(join(await temporaryFolder(), "envoy"), "echo 'envoy 2.11 (PHP)'");
    expect(await askVersion(path)).toEqual({ envoy: false, reason: "its --version is not Envoy's" });
  });

  it("gives the version of one that is", async () => {
    const path = await script(join(await temporaryFolder(), "envoy"), versionLine("1.40.2"));
    expect(await askVersion(path)).toEqual({ envoy: true, version: "1.40.2" });
  });

  it("ends a program that hangs within 10 s, with what that started", { timeout: 30_000 }, async () => {
    const folder = await temporaryFolder();
    const path = await script(join(folder, "envoy"), ...hang(join(folder, "pid")));
    const asked = askVersion(path);
    const pid = await pidIn(join(folder, "pid"));
    expect(await asked).toEqual({ envoy: false, reason: "it does not run: no answer within 10 s" });
    await untilEnded(pid);
  });

  it("ends the program at an abort, with what that started", async () => {
    const folder = await temporaryFolder();
    const path = await script(join(folder, "envoy"), ...hang(join(folder, "pid")));
    const ending = new AbortController();
    const asked = askVersion(path, ending.signal);
    const pid = await pidIn(join(folder, "pid"));
    ending.abort(new Error("Ctrl-C"));
    await expect(asked).rejects.toThrow("Ctrl-C");
    await untilEnded(pid);
  });

  it("leaves nothing behind that a program started beside its answer", async () => {
    const folder = await temporaryFolder();
    const lines = hang(join(folder, "pid")).slice(0, -1);
    const path = await script(join(folder, "envoy"), versionLine("1.40.2"), ...lines);
    expect(await askVersion(path)).toEqual({ envoy: true, version: "1.40.2" });
    await untilEnded(await pidIn(join(folder, "pid")));
  });
});

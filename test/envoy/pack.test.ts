import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exampleConfigPath } from "../../shim/package-root.js";
import { realEnvoy } from "../support/real-envoy.js";

const run = promisify(execFile);
const packageRoot = dirname(dirname(dirname(exampleConfigPath())));
const envoyPath = (await realEnvoy()) ?? "";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hopgate-pack-test-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(envoyPath === "")("the published package", { timeout: 180_000 }, () => {
  it("holds what hopgate up needs, and nothing of the sources", async () => {
    // Without its scripts: the build is there, and building it again would pull it away from under the other tests.
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", dir], { cwd: packageRoot });
    const [tarball = ""] = readdirSync(dir);
    const { stdout: listing } = await run("tar", ["-tzf", join(dir, tarball)]);
    const files = listing.trim().split("\n");
    expect(files).toContain("package/build/hopgate.wasm");
    expect(files).toContain("package/manifests/examples/hopgate.yaml");
    expect(files).toContain("package/build/bench/host-calls.wasm");
    expect(files).toContain("package/bench/peers/rust/Cargo.toml");
    expect(files.filter((file) => /package\/(test|filter)\/|\.ts$|\/target\//.test(file))).toEqual([]);

    writeFileSync(join(dir, "package.json"), '{ "private": true }');
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(dir, tarball)], { cwd: dir });
    const { stdout } = await run(join(dir, "node_modules/.bin/hopgate"), ["up", "--once"], {
      cwd: dir,
      env: { ...process.env, ENVOY_PATH: envoyPath },
    });
    expect(stdout).toContain("demonstrations succeeded.");
  });
});

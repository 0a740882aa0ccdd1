import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { locateFuncE } from "../../shim/envoy/func-e.js";
import { type MeshUnderTest, startMesh } from "../support/local-mesh.js";
import { realEnvoy } from "../support/real-envoy.js";
import { realFuncE } from "../support/func-e.js";

const envoyPath = (await realEnvoy()) ?? "";
const funcE = envoyPath === "" ? undefined : await realFuncE();

let dir: string;
let running: MeshUnderTest | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hopgate-func-e-test-"));
});

afterEach(async () => {
  await running?.close();
  running = undefined;
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(funcE === undefined)("func-e", { timeout: 60_000 }, () => {
  it("runs the local mesh with the Envoy that it is given", async () => {
    const envoy = { path: envoyPath, version: "1.40.0", source: "env" } as const;
    const located = await locateFuncE(funcE, envoy, { FUNC_E_DATA_HOME: dir });
    expect(located.env).toEqual({ ENVOY_PATH: envoyPath });
    running = await startMesh({ envoyPath: "/nonexistent", funcE: located });
    expect((await running.send("reports")).status).toBe(200);
  });

  it("runs the local mesh with the Envoy that it has installed itself", async () => {
    mkdirSync(join(dir, "envoy-versions", "1.40.0", "bin"), { recursive: true });
    symlinkSync(envoyPath, join(dir, "envoy-versions", "1.40.0", "bin", "envoy"));
    const envoy = { path: envoyPath, version: "1.40.0", source: "cache" } as const;
    const located = await locateFuncE(funcE, envoy, { FUNC_E_DATA_HOME: dir });
    expect(located.env).toEqual({ ENVOY_VERSION: "1.40.0" });
    running = await startMesh({
      envoyPath: "/nonexistent",
      funcE: { ...located, env: { ...located.env, FUNC_E_DATA_HOME: dir, ENVOY_PATH: "" } },
    });
    expect((await running.send("reports")).status).toBe(200);
  });
});

describe("where there is no func-e", () => {
  it("says what to do", async () => {
    const envoy = { path: "/envoy", version: "1.40.0", source: "cache" } as const;
    await expect(locateFuncE(undefined, envoy, { PATH: dir })).rejects.toThrow("There is no func-e on PATH.");
    await expect(locateFuncE(join(dir, "func-e"), envoy, {})).rejects.toThrow("is not an executable file");
  });
});

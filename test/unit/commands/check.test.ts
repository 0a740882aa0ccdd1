import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { exampleConfigPath } from "../../../shim/package-root.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import { MESH } from "./mesh.js";
import { type Folder, hopgate, hopgateJson, isFilterBuilt, temporaryFolder } from "./support.js";

/** What is rendered beyond the mesh, so that the filter has something to refuse that hopgate.yaml cannot say. */
const surprise = vi.hoisted(() => ({ fields: {} }));

vi.mock(import("../../../shim/render/plugin-config-for.js"), async (importOriginal) => {
  const { pluginConfigFor } = await importOriginal();
  return { pluginConfigFor: (mesh, hop): PluginConfig => ({ ...pluginConfigFor(mesh, hop), ...surprise.fields }) };
});

let folder: Folder;
let good: string;
let bad: string;

beforeAll(() => {
  folder = temporaryFolder();
  good = folder.write("good.yaml", MESH);
  bad = folder.write("bad.yaml", MESH.replace("to: kb,", "to: kp,").replace("port: 80 ", "port: 0 "));
});

afterEach(() => (surprise.fields = {}));
afterAll(() => folder.remove());

interface Report {
  readonly ok: boolean;
  readonly files: readonly { readonly file: string; readonly problems: readonly object[] }[];
}

describe.skipIf(!isFilterBuilt)("hopgate check (needs build/hopgate.wasm)", () => {
  it("says in a line what a good file holds, and which hop adds the token for which backend", async () => {
    expect(await hopgate("check", good)).toEqual({
      code: 0,
      stdout:
        `ok ${good}: 5 routes, 3 backends, 3 hops; ingress adds the ID token for kb; ` +
        "inner adds the ID token for kb; agents adds the ID token for reports\n",
      stderr: "",
    });
  });

  it("takes the shipped example, and says who checks callers", async () => {
    const { code, stdout } = await hopgate("check", exampleConfigPath());
    expect(code).toBe(0);
    expect(stdout).toContain("2 hops; ingress checks callers by google; agents checks callers by google; ingress adds");
    expect(await hopgateJson("check", exampleConfigPath())).toMatchObject({
      files: [
        {
          checks: [
            { hop: "ingress", validators: ["google"] },
            { hop: "agents", validators: ["google"] },
          ],
        },
      ],
    });
  });

  it("writes problems as compilers do, on stderr, and exits 2", async () => {
    const { code, stdout, stderr } = await hopgate("check", bad);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    const lines = stderr.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/bad\.yaml:3:\d+: backends\.llm\.kubernetes\.port: .+; .+/);
    expect(lines[1]).toMatch(/bad\.yaml:8:\d+: routes\[1\]\.to: there is no backend "kp"; did you mean kb\?/);
    expect(lines[2]).toBe("hopgate: 2 problems");
  });

  it("checks every file that is named", async () => {
    const { code, stdout, stderr } = await hopgate("check", bad, good, join(folder.path, "none.yaml"));
    expect(code).toBe(2);
    expect(stdout).toContain(`ok ${good}`);
    expect(stderr).toContain("none.yaml:1:1: there is no such file");
    expect(stderr).toContain("3 problems in 2 of 3 files");
  });

  it("gives the same as JSON, and nothing else", async () => {
    const { code, stderr } = await hopgate("check", good, bad, "-o", "json");
    expect({ code, stderr }).toEqual({ code: 2, stderr: "" });
    const { ok, files } = await hopgateJson<Report>("check", good, bad);
    expect(ok).toBe(false);
    expect(files.map(({ file }) => file)).toEqual([good, bad]);
    expect(files[0]?.problems).toEqual([]);
    expect(files[1]?.problems[1]).toEqual({
      line: 8,
      column: expect.any(Number) as number,
      path: "routes[1].to",
      message: 'there is no backend "kp"',
      fix: "did you mean kb?",
    });
  });

  it("reports what the filter of a hop refuses, with the hop and the filter's own reason", async () => {
    surprise.fields = { surprise: true };
    const { files } = await hopgateJson<Report>("check", good);
    expect(files[0]?.problems).toHaveLength(3);
    expect(files[0]?.problems[0]).toMatchObject({
      path: "hops.ingress",
      line: 13,
      message: "the filter of hop ingress refuses its configuration: surprise: is not a known field",
    });
  });

  it("shows the line that a refused field comes from, where the file has it", async () => {
    surprise.fields = { timing: { expose: "sometimes" } };
    const { files } = await hopgateJson<Report>("check", good);
    expect(files[0]?.problems[0]).toMatchObject({
      path: "timing.expose",
      line: MESH.split("\n").length - 1,
      column: 11,
    });
  });
});

import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { schemaReference } from "../../../shim/commands/init.js";
import { exampleConfigPath } from "../../../shim/package-root.js";
import { type Folder, hopgate, isFilterBuilt, temporaryFolder } from "./support.js";

let folder: Folder;

beforeEach(() => (folder = temporaryFolder()));
afterEach(() => folder.remove());

function withoutSchema(text: string): string {
  return text.replace(/\$schema=\S+/, "");
}

describe("hopgate init", () => {
  it("writes the shipped example, comments and all, with a schema of its own", async () => {
    const file = join(folder.path, "hopgate.yaml");
    const { code, stdout } = await hopgate("init", file);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    const text = readFileSync(file, "utf8");
    expect(withoutSchema(text)).toBe(withoutSchema(readFileSync(exampleConfigPath(), "utf8")));
    expect(text.split("\n", 1)).toEqual([
      "# yaml-language-server: $schema=./node_modules/hopgate/manifests/hopgate.schema.json",
    ]);
  });

  it.skipIf(!isFilterBuilt)("writes what check accepts (needs build/hopgate.wasm)", async () => {
    const file = join(folder.path, "hopgate.yaml");
    await hopgate("init", file);
    expect((await hopgate("check", file)).code).toBe(0);
  });

  it("does not overwrite a file, but for --force", async () => {
    const file = folder.write("hopgate.yaml", "mine");
    const refused = await hopgate("init", file);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--force");
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect((await hopgate("init", file, "--force")).code).toBe(0);
    expect(readFileSync(file, "utf8")).not.toBe("mine");
  });

  it("prints to stdout for -", async () => {
    const { code, stdout, stderr } = await hopgate("init", "-");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(withoutSchema(stdout)).toBe(withoutSchema(readFileSync(exampleConfigPath(), "utf8")));
  });

  it("says so where it cannot write", async () => {
    const { code, stderr } = await hopgate("init", join(folder.path, "none", "hopgate.yaml"));
    expect(code).toBe(2);
    expect(stderr).toContain("ENOENT");
  });
});

describe("the reference to the schema", () => {
  const installed = "/project/node_modules/hopgate/manifests/hopgate.schema.json";

  it.each([
    ["beside node_modules", installed, "/project", "./node_modules/hopgate/manifests/hopgate.schema.json"],
    [
      "in a folder of the project",
      installed,
      "/project/deploy",
      "../node_modules/hopgate/manifests/hopgate.schema.json",
    ],
    ["in this repository", "/hopgate/manifests/hopgate.schema.json", "/hopgate", "./manifests/hopgate.schema.json"],
    ["outside", installed, "/projects", "./node_modules/hopgate/manifests/hopgate.schema.json"],
  ])("leads from the file to the package: %s", (_where, schema, directory, reference) => {
    expect(schemaReference(schema, directory)).toBe(reference);
  });

  it("is right in the shipped example too", () => {
    const [, path = ""] = /\$schema=(\S+)/.exec(readFileSync(exampleConfigPath(), "utf8")) ?? [];
    expect(JSON.parse(readFileSync(resolve(dirname(exampleConfigPath()), path), "utf8"))).toMatchObject({
      title: "hopgate.yaml",
    });
  });
});

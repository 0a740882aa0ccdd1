import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  CHECK_EXAMPLES,
  EXPLAIN_EXAMPLES,
  INIT_EXAMPLES,
  TRACE_EXAMPLES,
  UP_EXAMPLES,
} from "../../../shim/commands/examples.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { exampleConfigPath } from "../../../shim/package-root.js";
import { type Folder, hopgate, isFilterBuilt, temporaryFolder } from "./support.js";

/** What stands behind `$ ` in a help text, without what it is piped into and without the words that explain it. */
function examplesIn(help: string): readonly string[] {
  const lines = help.replaceAll(/\\\n +/g, "").split("\n");
  return lines.flatMap((line) => /^ {2}\$ (.+?)(?: \| .*| {2,}.*)?$/.exec(line)?.[1] ?? []);
}

/** The words of a command line, as a shell reads them; single quotes alone. */
function wordsOf(line: string): readonly string[] {
  return (line.match(/'[^']*'|[^ ]+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, "$1"));
}

describe.skipIf(!isFilterBuilt)("with the shipped example (needs build/hopgate.wasm)", () => {
  let folder: Folder;
  const before = process.cwd();

  beforeEach(() => {
    folder = temporaryFolder();
    mkdirSync(join(folder.path, "deploy"));
    for (const name of ["staging.yaml", "prod.yaml"]) copyFileSync(exampleConfigPath(), join(folder.path, name));
    process.chdir(folder.path);
  });

  afterEach(() => {
    process.chdir(before);
    folder.remove();
  });

  it.each([CHECK_EXAMPLES, EXPLAIN_EXAMPLES].flatMap(examplesIn))("%s does its work", async (example) => {
    copyFileSync(exampleConfigPath(), "hopgate.yaml");
    writeFileSync("caller.headers", "authorization: Bearer c2VjcmV0\n");
    const { code, stdout, stderr } = await hopgate(...wordsOf(example).slice(1));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).not.toMatch(/did you mean|no route/);
  });

  it.each(examplesIn(INIT_EXAMPLES))("%s does its work", async (example) => {
    const { code } = await hopgate(...wordsOf(example).slice(1));
    expect(code).toBe(0);
  });
});

it("names the hosts and backends of the shipped example alone", () => {
  const mesh = parseMesh(readFileSync(exampleConfigPath(), "utf8"), exampleConfigPath());
  const hosts = mesh.routes.flatMap((route) => route.hosts);
  const services = [...mesh.backends.values()].flatMap((backend) => (backend.kind === "cloudRun" ? backend.host : []));
  const urls = [EXPLAIN_EXAMPLES, TRACE_EXAMPLES]
    .flatMap(examplesIn)
    .flatMap(wordsOf)
    .filter((word) => word.startsWith("http"));
  expect(urls.length).toBeGreaterThan(6);
  for (const url of urls) expect([...hosts, ...services]).toContain(new URL(url).hostname);
  for (const [, name] of UP_EXAMPLES.matchAll(/--backend (\w+)=/g)) expect([...mesh.backends.keys()]).toContain(name);
});

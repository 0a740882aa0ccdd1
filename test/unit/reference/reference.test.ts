import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorReference } from "../../../shim/reference/errors.js";
import { reference } from "../../../shim/reference/reference.js";
import { hopgate } from "../commands/support.js";

const PUBLISHED = "manifests/reference.md";
const errors = readFileSync("filter/errors.ts", "utf8");

test("the published reference is what the sources say", async () => {
  const published = readFileSync(PUBLISHED, "utf8");
  expect(published, `${PUBLISHED} is out of date: run npm run generate`).toBe(await reference(errors));
});

test("has every command, in the order of hopgate --help", async () => {
  const documented = [...(await reference(errors)).matchAll(/^### hopgate (.+)$/gm)].map(([, command]) => command);
  expect(documented).toEqual(await commandsBelow([]));
});

/** What the help lists under `Commands:`, and for a command with commands of its own, those. */
async function commandsBelow(parent: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await hopgate(...parent, "--help");
  const [, list = ""] = stdout.split("\nCommands:\n");
  const names = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name = ""]) => name).filter((name) => name !== "help");
  if (names.length === 0) return [parent.join(" ")];
  return (await Promise.all(names.map((name) => commandsBelow([...parent, name])))).flat();
}

test("has every answer that the filter can give", () => {
  const entries = errors.matchAll(/^export const [A-Z_]+ = new ReplyError\(\s*Bytes\.of\("(\w+)"/gm);
  const declared = [...entries].map(([, code]) => code);
  expect(declared.length).toBeGreaterThan(3);
  for (const code of declared) expect(errorReference(errors)).toContain(`| \`${String(code)}\` |`);
});

test("has every metric and every header of the filter", async () => {
  const text = await reference(errors);
  const named = (file: string, pattern: RegExp): string[] =>
    [...readFileSync(file, "utf8").matchAll(pattern)].map(([, name = ""]) => name);
  const metrics = named("filter/metrics.ts", /Bytes\.of\("(hopgate_\w+)"\)/g);
  const headers = named("filter/names.ts", /OWN_(?!PREFIX)\w+ = Bytes\.of\("([a-z-]+)"\)/g);
  expect(metrics.length).toBeGreaterThan(5);
  expect(headers.length).toBeGreaterThan(3);
  for (const name of [...metrics, ...headers]) expect(text).toContain(`\`${name}\``);
});

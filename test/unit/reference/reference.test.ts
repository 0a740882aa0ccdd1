import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorReference } from "../../../shim/reference/errors.js";
import { reference } from "../../../shim/reference/reference.js";

const PUBLISHED = "manifests/reference.md";
const errors = readFileSync("filter/errors.ts", "utf8");

test("the published reference is what the sources say", async () => {
  const published = readFileSync(PUBLISHED, "utf8");
  expect(published, `${PUBLISHED} is out of date: run npm run generate`).toBe(await reference(errors));
});

test("has every answer that the filter can give", () => {
  const declared = [...errors.matchAll(/^export const [A-Z_]+ = new ReplyError\(\s*"(\w+)"/gm)].map(([, code]) => code);
  expect(declared.length).toBeGreaterThan(3);
  for (const code of declared) expect(errorReference(errors)).toContain(`| \`${String(code)}\` |`);
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

/** The rows of the table of promises: what is promised, the file with the test, and the test's name. */
const promises = read("SECURITY.md")
  .split("\n")
  .map((line) => /^\| (.+) \| `(test\/[^`]+)`: (.+?) +\|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, promise = "", file = "", name = ""]) => [promise.trim(), file, name] as const);

describe("each promise of SECURITY.md names a test that exists", () => {
  test("and there are many", () => {
    expect(promises.length).toBeGreaterThanOrEqual(18);
  });

  test.each(promises)("%s", (_promise, file, name) => {
    expect(read(file)).toContain(name);
  });
});

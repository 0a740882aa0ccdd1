import { expect, it } from "vitest";
import { processIo, unicode } from "../../../shim/output/io.js";
import { fakeIo } from "./fake-io.js";

it.each([
  [{ LANG: "en_US.UTF-8" }, true],
  [{ LANG: "C.utf8" }, true],
  [{ LANG: "en_US.UTF-8", LC_ALL: "C" }, false],
  [{ LANG: "C", LC_CTYPE: "UTF-8" }, true],
  [{ LANG: "en_US.UTF-8", LC_ALL: "" }, true],
  [{}, false],
])("the locale of %o is UTF-8: %s", (env, expected) => {
  expect(unicode(fakeIo({ env }).io)).toBe(expected);
});

it("the process's io is the process's", () => {
  expect(processIo()).toEqual({
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  });
});

import { expect, it } from "vitest";
import { colours } from "../../../shim/output/colours.js";
import { fakeIo } from "./fake-io.js";

function coloured(isTTY: boolean, env: Record<string, string>): boolean {
  return colours(fakeIo({ isTTY, env }).io)("red", "x") !== "x";
}

it.each([
  ["on a terminal", true, {}, true],
  ["in a file", false, {}, false],
  ["with NO_COLOR", true, { NO_COLOR: "1" }, false],
  ["with an empty NO_COLOR", true, { NO_COLOR: "" }, true],
  ["with FORCE_COLOR in a file", false, { FORCE_COLOR: "1" }, true],
  ["with an empty FORCE_COLOR in a file", false, { FORCE_COLOR: "" }, true],
  ["with FORCE_COLOR=0", true, { FORCE_COLOR: "0" }, false],
  ["with FORCE_COLOR against NO_COLOR", false, { FORCE_COLOR: "1", NO_COLOR: "1" }, true],
  ["on a dumb terminal", true, { TERM: "dumb" }, false],
])("colours %s (terminal: %s, %o): %s", (_where, isTTY, env, expected) => {
  expect(coloured(isTTY, env)).toBe(expected);
});

it("ends every colour, and puts none around nothing", () => {
  const paint = colours(fakeIo({ isTTY: true }).io);
  expect(paint("green", "ok")).toBe("\u001b[32mok\u001b[0m");
  expect(paint("green", "")).toBe("");
});

import { expect, test } from "vitest";
import { closest } from "../../../shim/config/closest.js";

test.each([
  ["a letter too few", "prt", "port"],
  ["a letter too many", "hostss", "hosts"],
  ["a wrong letter", "hopz", "hops"],
  ["two letters swapped", "thruogh", "through"],
  ["another case", "CLOUDRUN", "cloudRun"],
  ["two slips in a long word", "kubernets_", "kubernetes"],
])("finds a word with %s", (_, word, meant) => {
  expect(closest(word, ["port", "hosts", "hops", "through", "cloudRun", "kubernetes"])).toBe(meant);
});

test("prefers the nearer of two", () => {
  expect(closest("timeout", ["timeoutms", "timeouts"])).toBe("timeouts");
  expect(closest("timeout", ["timeouts", "timeoutms"])).toBe("timeouts");
});

test("says nothing where nothing is near", () => {
  expect(closest("colour", ["edge", "validate"])).toBeUndefined();
  expect(closest("x", [])).toBeUndefined();
  expect(closest("a".repeat(1_000_000), ["a"])).toBeUndefined();
});

import { expect, test } from "vitest";
import { parsePairs } from "../../../shim/emulator/pairs.js";

/** u32s as numbers, bytes as text. */
function wire(...parts: (number | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(part, "latin1");
      const word = Buffer.alloc(4);
      word.writeUInt32LE(part);
      return word;
    }),
  );
}

test("pairs are read with their NULs", () => {
  const bytes = wire(2, 1, 2, 0, 0, "a\0bc\0", "\0\0");
  expect(parsePairs(bytes)).toEqual([
    ["a", "bc"],
    ["", ""],
  ]);
});

test.each([
  ["nothing", wire()],
  ["a count without sizes", wire(1)],
  ["a length beyond the end", wire(1, 9, 1, "a\0b\0")],
  ["a length that would wrap", wire(1, 0xffffffff, 1, "a\0b\0")],
  ["a missing NUL behind the name", wire(1, 1, 1, "axb\0")],
  ["a missing NUL behind the value", wire(1, 1, 1, "a\0bx")],
  ["bytes left over", wire(1, 1, 1, "a\0b\0c")],
  ["too many pairs", wire(1025, ...Array<number>(2050).fill(0), "\0\0".repeat(1025))],
  ["too many bytes", Buffer.alloc(1024 * 1024 + 1)],
])("broken pairs are none at all: %s", (_what, bytes) => {
  expect(parsePairs(bytes)).toEqual([]);
});

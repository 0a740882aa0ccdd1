import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ASCII, bar, mark, UNICODE } from "../../../shim/trace/bar.js";
import type { SegmentKind } from "../../../shim/trace/path.js";

describe("a bar", () => {
  it.each([
    ["hop", 0, 1, "████"],
    ["hop", 0, 0.5, "██  "],
    ["hop", 0, 1 / 32, "▏   "],
    ["hop", 7 / 32, 1 / 4, "▕   "],
    ["hop", 0, 3 / 32, "▍   "],
    ["hop", 4 / 32, 20 / 32, "▐█▌ "],
    ["hop", 1, 1, "   ▕"],
    ["wait", 0.25, 0.75, " ▒▒ "],
    ["wait", 0.25, 0.26, " ▏  "],
    ["stream", 0.5, 1, "  ░░"],
    ["stream", 0.9, 1, "   ░"],
  ] as const)("of a %s from %d to %d of four cells is %j", (kind, start, end, expected) => {
    expect(bar(kind, start, end, 4, UNICODE)).toBe(expected);
  });

  it.each([
    ["service", 0.25, 0.75, " ## "],
    ["wait", 0.25, 0.75, " ~~ "],
    ["stream", 0.25, 0.75, " -- "],
    ["hop", 0.5, 0.51, "  | "],
  ] as const)("of a %s from %d to %d is %j in ASCII", (kind, start, end, expected) => {
    expect(bar(kind, start, end, 4, ASCII)).toBe(expected);
  });

  it("has exactly its cells and is never invisible", () => {
    const kind = fc.constantFrom<SegmentKind>("client", "network", "hop", "wait", "service", "upstream", "stream");
    const fraction = fc.double({ min: 0, max: 1, noNaN: true });
    const glyphs = fc.constantFrom(ASCII, UNICODE);
    fc.assert(
      fc.property(kind, fraction, fraction, fc.integer({ min: 1, max: 100 }), glyphs, (of, a, b, cells, style) => {
        const drawn = bar(of, Math.min(a, b), Math.max(a, b), cells, style);
        expect(drawn).toHaveLength(cells);
        expect(drawn.trim()).not.toBe("");
        expect(drawn.trim()).not.toContain(" ");
      }),
    );
  });
});

it("a mark stands in its cell, the end in the last", () => {
  expect([0, 0.5, 1].map((at) => mark(at, 4, UNICODE))).toEqual(["▲   ", "  ▲ ", "   ▲"]);
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseServerTiming } from "../../../shim/trace/server-timing.js";

interface Vector {
  readonly header: string;
  readonly expected: readonly { readonly name: string; readonly dur?: number; readonly desc?: string }[];
}

const vectorsDir =
  process.env["HOPGATE_VECTORS"] ?? fileURLToPath(new URL("../../../../shared/vectors", import.meta.url));
const vectorsFile = join(vectorsDir, "server-timing", "server-timing-parsing.json");

describe("vectors of the W3C test-suite", () => {
  if (!existsSync(vectorsFile)) {
    const reason = `no ${vectorsFile}: set HOPGATE_VECTORS to the folder of the vectors`;
    process.stderr.write(`skipped: ${reason}\n`);
    it("agree", (context) => {
      context.skip(reason);
    });
    return;
  }
  const vectors = JSON.parse(readFileSync(vectorsFile, "utf8")) as Vector[];
  it.each(vectors.map((vector) => [JSON.stringify(vector.header), vector] as const))("reads %s", (_title, vector) => {
    const expected = vector.expected.map(({ name, dur, desc }) => ({
      name,
      ...(dur !== undefined && { duration: dur }),
      ...(desc !== undefined && { description: desc }),
    }));
    expect(parseServerTiming([vector.header])).toEqual(expected);
  });
});

describe("beyond the vectors", () => {
  it("keeps the order of several header lines", () => {
    expect(parseServerTiming(["app;dur=9.1", "agents;dur=10.2, ingress;dur=11"]).map((entry) => entry.name)).toEqual([
      "app",
      "agents",
      "ingress",
    ]);
  });

  it("passes over empty list elements", () => {
    expect(parseServerTiming([", a;dur=1,, b;dur=2,"])).toEqual([
      { name: "a", duration: 1 },
      { name: "b", duration: 2 },
    ]);
  });

  it("takes parameter names in any case and a quoted duration", () => {
    expect(parseServerTiming(['a;DUR="1.5";Desc=x'])).toEqual([{ name: "a", duration: 1.5, description: "x" }]);
  });

  it("unescapes a quoted description, separators in it included", () => {
    expect(parseServerTiming(['a;desc="x, \\"y\\"; \\\\z";dur=1, b'])).toEqual([
      { name: "a", duration: 1, description: 'x, "y"; \\z' },
      { name: "b" },
    ]);
  });

  it("takes a quote that never ends for all that follows", () => {
    expect(parseServerTiming(['a;desc="x, b;dur=1', "c"])).toEqual([{ name: "a", description: "" }, { name: "c" }]);
  });

  it("lets the first of a parameter stand, also where it has no value", () => {
    expect(parseServerTiming(["a;dur;dur=5"])).toEqual([{ name: "a", duration: 0 }]);
  });

  it("never yields a duration that is not finite", () => {
    expect(parseServerTiming(["a;dur=Infinity, b;dur=1e999, c;dur=NaN"]).map((entry) => entry.duration)).toEqual([
      0, 0, 0,
    ]);
  });

  it("reads back what it is built from", () => {
    const name = fc.stringMatching(/^[a-z0-9-]{1,63}$/);
    const entry = fc.record({ name, duration: fc.integer({ min: 0, max: 10_000_000 }), description: fc.string() });
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const text = entries.map(
          (e) => `${e.name};dur=${(e.duration / 1000).toFixed(3)};desc="${e.description.replace(/["\\]/g, "\\$&")}"`,
        );
        expect(parseServerTiming([text.join(", ")])).toEqual(
          entries.map((e) => ({ ...e, duration: e.duration / 1000 })),
        );
      }),
    );
  });

  it("takes any text", () => {
    const grammar = fc.constantFrom("a", "dur", "desc", "=", ";", ",", '"', "\\", " ", "\t", "1.5", "\u0000", "é");
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(grammar).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(fc.array(text), (values) => {
        for (const entry of parseServerTiming(values)) {
          expect(entry.name).toMatch(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);
          expect(Number.isFinite(entry.duration ?? 0)).toBe(true);
        }
      }),
    );
  });
});

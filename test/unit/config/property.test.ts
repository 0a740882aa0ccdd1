import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../shim/config/config-error.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { pluginConfigFor } from "../../../shim/render/plugin-config-for.js";
import { EXAMPLE } from "./example.js";

/** Parses, and renders every hop of what is accepted. Anything but ConfigError is passed on. */
function check(text: string): void {
  try {
    const mesh = parseMesh(text, "hopgate.yaml");
    for (const hop of mesh.hops.keys()) pluginConfigFor(mesh, hop);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = text.split("\n");
    expect(error.problems.length).toBeGreaterThan(0);
    for (const { line, column, message, fix } of error.problems) {
      expect(line).toBeLessThanOrEqual(lines.length);
      expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
      expect(message).not.toBe("");
      expect(fix).not.toBe("");
    }
  }
}

const WORDS = EXAMPLE.split(/(?<=\W)|(?=\W)/);
const SPICE = [
  "{",
  "}",
  "[",
  "]",
  ": ",
  "- ",
  "\n",
  "  ",
  "&a ",
  "*a",
  "!!str ",
  "~",
  "5",
  "true",
  '"',
  "'",
  "#",
  "|",
  ">",
  "? ",
  "---\n",
  "\t",
  "<<",
  "__proto__",
  "constructor",
  "\u0000",
  "é",
  "\ud800",
];

describe("no text makes the reader fail in another way than by saying what is wrong:", () => {
  test("any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), check), { numRuns: 500 });
  });

  test("pieces of YAML", () => {
    const pieces = fc.array(fc.constantFrom(...WORDS, ...SPICE), { maxLength: 40 });
    fc.assert(
      fc.property(pieces, (words) => {
        check(words.join(""));
      }),
      { numRuns: 1000 },
    );
  });

  test("the example with words replaced, removed and added", () => {
    const edit = fc.record({
      at: fc.nat(WORDS.length - 1),
      remove: fc.nat(3),
      add: fc.array(fc.constantFrom(...WORDS, ...SPICE), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const words = [...WORDS];
        for (const { at, remove, add } of edits) words.splice(at, remove, ...add);
        check(words.join(""));
      }),
      {
        numRuns: 1000,
        // A word behind a map in braces, below an alias: the YAML parser once counted lines wrong there.
        examples: [
          [
            [
              { at: 141, remove: 0, add: ["name"] },
              { at: 0, remove: 0, add: ["*a"] },
            ],
          ],
        ],
      },
    );
  });

  test("fields of the example with values of any kind", () => {
    const keys = [
      "name",
      "backends",
      "validators",
      "routes",
      "hops",
      "identity",
      "timing",
      "kubernetes",
      "cloudRun",
      "through",
      "url",
      "via",
      "host",
      "hosts",
      "to",
      "split",
      "gateway",
      "waypoint",
      "namespace",
      "selector",
      "validate",
      "emails",
      "jwks",
      "bypass",
      "path",
      "a",
      "B",
    ];
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 6, depthSize: "medium" },
        fc.constantFrom<unknown>(
          null,
          true,
          0,
          80,
          1.5,
          "",
          "a",
          "*",
          "B",
          "x.internal",
          "https://a.run.app",
          "loadBalancer",
          "/x",
        ),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 6 }),
      ),
    }));
    const top = fc.dictionary(fc.constantFrom(...keys.slice(0, 7)), value);
    fc.assert(
      fc.property(top, (file) => {
        check(JSON.stringify(file));
      }),
      { numRuns: 1000 },
    );
  });
});

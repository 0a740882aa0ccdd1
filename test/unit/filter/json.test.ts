/** The parser against JSONTestSuite (https://github.com/nst/JSONTestSuite), by way of the configuration. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import { hopgate } from "../../support/filter.js";

const vectors = process.env["HOPGATE_VECTORS"] ?? fileURLToPath(new URL("../../../../shared/vectors", import.meta.url));
const folder = join(vectors, "JSONTestSuite", "test_parsing");
const files = existsSync(folder) ? readdirSync(folder).sort() : [];

/** What the filter says about a text that is not JSON, or not such that all readers agree on it. */
const NOT_JSON = /^configuration: (is empty|is not valid JSON|is nested deeper|has too many|has a duplicate|has text)/;
/** Names twice in one object are valid JSON and refused here. */
const DUPLICATES = new Set(["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);

if (files.length === 0) {
  test.skip(`JSONTestSuite is not at ${folder}; HOPGATE_VECTORS says where else`, () => undefined);
} else {
  test("the suite is whole", () => {
    expect(files.length).toBeGreaterThanOrEqual(318);
  });

  test.each(files)("%s", async (file) => {
    const proxy = await Emulator.start({ module: hopgate });
    expect(proxy.configure({ config: readFileSync(join(folder, file)) })).toEqual({ accepted: false });
    expect(proxy.traps).toEqual([]);
    expect(proxy.logs).toHaveLength(1);
    const reason = proxy.logs[0]?.message.replace("hopgate: configuration refused: ", "") ?? "";
    if (file.startsWith("n_") || DUPLICATES.has(file)) expect(reason).toMatch(NOT_JSON);
    else if (file.startsWith("y_")) expect(reason).not.toMatch(NOT_JSON);
  });
}

/** Whether the filter takes `text` for JSON at all; as a configuration it refuses it in any case. */
async function takesForJson(): Promise<(text: string) => boolean> {
  const proxy = await Emulator.start({ module: hopgate });
  // As Envoy, the emulator does not ask twice about the same text.
  const answers = new Map<string, boolean>();
  return (text) => {
    const known = answers.get(text);
    if (known !== undefined) return known;
    proxy.logs.length = 0;
    proxy.configure({ config: text });
    expect(proxy.traps).toEqual([]);
    expect(proxy.logs).toHaveLength(1);
    const answer = !NOT_JSON.test(proxy.logs[0]?.message.replace("hopgate: configuration refused: ", "") ?? "");
    answers.set(text, answer);
    return answer;
  };
}

test("takes whatever JSON.stringify writes, as deep as it goes", async () => {
  const isJson = await takesForJson();
  const value = fc.json({ maxDepth: 14, stringUnit: "grapheme" });
  fc.assert(
    fc.property(value, (text) => {
      expect(isJson(text)).toBe(true);
    }),
    { numRuns: 500, seed: 5 },
  );
});

const SPICE = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "'",
  "\\",
  "u",
  "0",
  " ",
  "-",
  ".",
  "e",
  "+",
  "t",
  "n",
  "\n",
  "\u0001",
];

test("refuses whatever JSON.parse refuses", async () => {
  const isJson = await takesForJson();
  const parses = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  const broken = fc
    .tuple(fc.json({ maxDepth: 5 }), fc.nat(), fc.nat(3), fc.constantFrom(...SPICE))
    .map(([text, at, cut, insert]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + insert + text.slice(place + cut);
    });
  fc.assert(
    fc.property(broken, (text) => {
      fc.pre(!parses(text));
      expect(isJson(text)).toBe(false);
    }),
    { numRuns: 1000, seed: 6 },
  );
});

import { parseAllDocuments } from "yaml";
import { describe, expect, it } from "vitest";
import { yamlText } from "../../../shim/render/yaml.js";

describe("YAML", () => {
  const WORDS = [
    "on",
    "off",
    "yes",
    "no",
    "y",
    "n",
    "Y",
    "N",
    "On",
    "NO",
    "true",
    "null",
    "~",
    "1e3",
    "0x1F",
    "0o7",
    "12:30",
    "1_000",
    "",
    "007",
  ];

  it("quotes as text what a reader of YAML 1.1 would take for something else, as value and as key", () => {
    const value = { list: WORDS, map: Object.fromEntries(WORDS.map((word) => [word, 1])) };
    for (const version of ["1.1", "1.2"] as const) {
      const [document] = parseAllDocuments(yamlText([value]), { version });
      expect((document as { toJS(): unknown }).toJS()).toEqual(value);
    }
  });

  it("separates documents", () => {
    expect(yamlText([{ a: 1 }, { b: [true, "x"] }])).toBe("a: 1\n---\nb:\n  - true\n  - x\n");
  });
});

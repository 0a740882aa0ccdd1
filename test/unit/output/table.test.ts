import { expect, it } from "vitest";
import { table } from "../../../shim/output/table.js";

it("aligns columns to the left, without spaces at the ends of lines", () => {
  expect(table([["host", "backend"], ["llm.example.internal", "llm", "x"], ["a"]])).toBe(
    "host                  backend\nllm.example.internal  llm      x\na",
  );
});

it("aligns numbers to the right, the first column not", () => {
  expect(
    table(
      [
        ["a", "1.00"],
        ["bcd", "12"],
      ],
      "right",
    ),
  ).toBe("a    1.00\nbcd    12");
});

it("does not count colours", () => {
  expect(
    table([
      ["\u001b[31ma\u001b[0m", "x"],
      ["bc", "y"],
    ]),
  ).toBe("\u001b[31ma\u001b[0m   x\nbc  y");
});

it("of no rows is empty", () => {
  expect(table([])).toBe("");
});

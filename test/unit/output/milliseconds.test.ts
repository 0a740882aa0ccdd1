import fc from "fast-check";
import { expect, it } from "vitest";
import { milliseconds } from "../../../shim/output/milliseconds.js";

it.each([
  [0, "0"],
  [1, "0.001"],
  [52, "0.052"],
  [999, "0.999"],
  [1000, "1.00"],
  [9994, "9.99"],
  [9995, "10.0"],
  [40_200, "40.2"],
  [99_949, "99.9"],
  [99_950, "100"],
  [316_400, "316"],
  [12_345_678, "12346"],
])("%d us are %s ms", (duration_us, expected) => {
  expect(milliseconds(duration_us)).toBe(expected);
});

it("is true to half a percent, or to half a millisecond, and has three significant digits or four decimals at most", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e12 }), (duration_us) => {
      const shown = milliseconds(duration_us);
      expect(Math.abs(Number(shown) * 1000 - duration_us)).toBeLessThanOrEqual(
        Math.min(500, 0.005 * duration_us) + 1e-6,
      );
      expect(shown).toMatch(/^(0|0\.\d{3}|\d\.\d{2}|\d{2}\.\d|\d{3,})$/);
    }),
  );
});

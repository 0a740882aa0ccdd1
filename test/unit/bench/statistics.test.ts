import { expect, test } from "vitest";
import { estimate, median } from "../../../bench/statistics.js";

test("the median is the middle value, or between the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test("an estimate holds its median, is the same each time, and is wider where values scatter", () => {
  const close = [10, 10.1, 9.9, 10, 10.2, 9.8, 10.1];
  const scattered = [10, 14, 6, 10, 18, 2, 12];
  expect(estimate(close)).toEqual(estimate(close));
  for (const values of [close, scattered]) {
    const { median: middle, low, high } = estimate(values);
    expect(low).toBeLessThanOrEqual(middle);
    expect(high).toBeGreaterThanOrEqual(middle);
  }
  const width = ({ low, high }: { low: number; high: number }): number => high - low;
  expect(width(estimate(scattered))).toBeGreaterThan(width(estimate(close)));
});

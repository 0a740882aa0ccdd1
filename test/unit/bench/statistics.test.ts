import { expect, test } from "vitest";
import { estimate, estimateRatio, median, percentile } from "../../../bench/statistics.js";

test("the median is the middle value, or between the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test("a percentile is a value that occurred: the least that the share does not exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  expect(percentile(hundred, 0.5)).toBe(50);
  expect(percentile(hundred, 0.99)).toBe(99);
  expect(percentile(hundred, 0.999)).toBe(100);
  expect(percentile(hundred, 0)).toBe(1);
  expect(percentile([7], 0.5)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
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

test("a ratio draws the rounds of both together, so that what made a round slow for both cancels out", () => {
  const below = [10, 20, 40, 10, 30, 20, 50];
  const above = below.map((value) => value * 0.7);
  const ratio = estimateRatio(above, below);
  for (const value of [ratio.median, ratio.low, ratio.high]) expect(value).toBeCloseTo(0.7);
});

test("values of few processes that differ are known less well than as many that are each for themselves", () => {
  const values = [10, 10.1, 9.9, 14, 14.1, 13.9, 12, 12.1, 11.9];
  const width = ({ low, high }: { low: number; high: number }): number => high - low;
  expect(estimate(values, 3).median).toBe(estimate(values).median);
  expect(width(estimate(values, 3))).toBeGreaterThan(width(estimate(values)));
  expect(width(estimateRatio(values, values.toReversed(), 3))).toBeGreaterThan(0);
});

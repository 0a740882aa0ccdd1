/** Medians and percentiles, and how far they can be trusted. */

/** A figure with its 95 % interval. */
export interface Estimate {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2000;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** The value that `share` (0 to 1) of `sorted`, in ascending order, do not exceed: the nearest rank. NaN where there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(Math.ceil(share * sorted.length), 1) - 1] ?? NaN;
}

/**
 * The median of `values` with its percentile bootstrap interval (Efron 1979). The resampling is seeded, so that the same measurements
 * give the same interval.
 */
export function estimate(values: readonly number[]): Estimate {
  return bootstrap(values.length, (indices) => median(indices.map((index) => values[index] ?? NaN)));
}

/** The median of `above` divided by that of `below`, likewise. Both are of the same rounds, which are drawn together. */
export function estimateRatio(above: readonly number[], below: readonly number[]): Estimate {
  const medianAt = (values: readonly number[], indices: readonly number[]): number =>
    median(indices.map((index) => values[index] ?? NaN));
  return bootstrap(above.length, (indices) => medianAt(above, indices) / medianAt(below, indices));
}

function bootstrap(count: number, statistic: (indices: readonly number[]) => number): Estimate {
  const random = seeded(count);
  const draws = Array.from({ length: RESAMPLES }, () =>
    statistic(Array.from({ length: count }, () => Math.floor(random() * count))),
  ).toSorted((a, b) => a - b);
  return {
    median: statistic(Array.from({ length: count }, (_, index) => index)),
    low: draws[Math.floor(0.025 * RESAMPLES)] ?? NaN,
    high: draws[Math.ceil(0.975 * RESAMPLES) - 1] ?? NaN,
  };
}

/** Mulberry32: numbers from 0 to 1. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value = (value + Math.imul(value ^ (value >>> 7), value | 61)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

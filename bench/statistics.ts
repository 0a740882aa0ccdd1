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
 * give the same interval. `processes`: of how many they come, as many of each, one after another; what is drawn is a process, and then
 * values of it, since two of one process are more alike than two of different ones.
 */
export function estimate(values: readonly number[], processes = values.length): Estimate {
  return bootstrap(values.length, processes, (indices) => median(indices.map((index) => values[index] ?? NaN)));
}

/** The median of `above` divided by that of `below`, likewise. Both are of the same rounds, which are drawn together. */
export function estimateRatio(above: readonly number[], below: readonly number[], processes = above.length): Estimate {
  const medianAt = (values: readonly number[], indices: readonly number[]): number =>
    median(indices.map((index) => values[index] ?? NaN));
  return bootstrap(above.length, processes, (indices) => medianAt(above, indices) / medianAt(below, indices));
}

function bootstrap(count: number, processes: number, statistic: (indices: readonly number[]) => number): Estimate {
  const random = seeded(count);
  const upTo = (bound: number): number => Math.floor(random() * bound);
  const each = count / processes;
  const draw = (): number[] =>
    Array.from({ length: processes }, () => upTo(processes) * each).flatMap((start) =>
      Array.from({ length: each }, () => start + upTo(each)),
    );
  const draws = Array.from({ length: RESAMPLES }, () => statistic(draw())).toSorted((a, b) => a - b);
  return {
    median: statistic(Array.from({ length: count }, (_, index) => index)),
    low: draws[Math.floor(0.025 * RESAMPLES)] ?? NaN,
    high: draws[Math.ceil(0.975 * RESAMPLES) - 1] ?? NaN,
  };
}

/** As they are, in an order of chance (Fisher and Yates). */
export function shuffled<T>(values: readonly T[], random: () => number): readonly T[] {
  const rest = [...values];
  return values.map(() => rest.splice(Math.floor(random() * rest.length), 1)).flat();
}

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value = (value + Math.imul(value ^ (value >>> 7), value | 61)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

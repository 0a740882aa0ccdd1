import { Failure } from "../shim/errors.js";
import type { Generator, Latencies } from "./generator.js";
import { during, requestBytes, sendClosedLoop } from "./load.js";
import { type Estimate, estimate, percentile } from "./statistics.js";
import type { Subject } from "./subject.js";
import type { Variant } from "./variants.js";

export interface LatencyOptions {
  readonly subject: Subject;
  readonly generator: Generator;
  /** The first one is what the others are compared with. */
  readonly variants: readonly Variant[];
  readonly rounds: number;
  /** How long each variant is under load in a round. */
  readonly durationMs: number;
  /** Undefined: half of the highest rate that all variants hold. */
  readonly ratePerSec: number | undefined;
  readonly onProgress: (text: string) => void;
}

export const PERCENTILES = { p50: 0.5, p90: 0.9, p99: 0.99, p999: 0.999 } as const;
export type PercentileName = keyof typeof PERCENTILES;

/** The latency of one variant at a fixed rate. */
export interface LatencyResult {
  readonly variant: string;
  readonly name: string;
  /** The highest rate that it held. Null where the rate was given. */
  readonly highest_rate_per_sec: number | null;
  readonly latency_us: Readonly<Record<PercentileName, Estimate>>;
  /** What it adds to the first variant, of the same rounds. */
  readonly added_us: Readonly<Record<PercentileName, Estimate>>;
  readonly rounds_p99_us: readonly number[];
  /** Of all rounds together: the latency that a share of the requests did not exceed. */
  readonly distribution: readonly { readonly share: number; readonly latency_us: number }[];
  readonly requests: number;
  readonly unanswered: number;
}

export interface LatencyResults {
  readonly rate_per_sec: number;
  readonly variants: readonly LatencyResult[];
}

const SHARES = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999];
const HEADERS = { "user-agent": "bench", accept: "*/*" };

const CONNECTIONS = 64;
const PROBES = 6;
/** A rate is held if every request is answered, and 99 of 100 within this time. */
const HELD_P99_US = 50_000;

/**
 * Measures the latency at one rate, in rounds in which the variants take turns; before that, which rate each of them holds.
 * @throws Failure if one of them holds none
 */
export async function measureLatency(options: LatencyOptions): Promise<LatencyResults> {
  const { variants, rounds, generator, durationMs, onProgress } = options;
  const highest = new Map<string, number>();
  if (options.ratePerSec === undefined) {
    for (const variant of variants) {
      onProgress(`latency: highest rate: ${variant.name}`);
      highest.set(variant.id, await highestRate(options, variant));
    }
  }
  const ratePerSec = options.ratePerSec ?? Math.round(Math.min(...highest.values()) / 2);
  if (ratePerSec < 1) throw holdsNothing(variants.find(({ id }) => highest.get(id) === 0));
  const samples = new Map(variants.map(({ id }): [string, Latencies[]] => [id, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const variant of round % 2 === 1 ? variants : variants.toReversed()) {
      onProgress(`latency at ${ratePerSec}/s: round ${round} of ${rounds}: ${variant.name}`);
      const sent = await generator.send({ ...loadOf(options, variant), ratePerSec, durationMs });
      if (sent.latencies_us.length === 0) throw answersNothing(variant);
      sent.latencies_us.sort();
      samples.get(variant.id)?.push(sent);
    }
  }
  const base = samples.get(variants[0]?.id ?? "") ?? [];
  return {
    rate_per_sec: ratePerSec,
    variants: variants.map(({ id, name }) => ({
      variant: id,
      name,
      highest_rate_per_sec: highest.get(id) ?? null,
      ...summary(samples.get(id) ?? [], base),
    })),
  };
}

function loadOf({ subject }: LatencyOptions, variant: Variant) {
  return { port: subject.portOf(variant), host: variant.host, headers: HEADERS };
}

/** Between nothing and what a closed loop gets through, halved until it is known well enough. */
async function highestRate(options: LatencyOptions, variant: Variant): Promise<number> {
  const load = loadOf(options, variant);
  const { durationMs } = options;
  const request = requestBytes(load.host, HEADERS);
  const count = await sendClosedLoop({ ...load, connections: CONNECTIONS, next: during(durationMs, () => request) });
  let [held, tooHigh] = [0, (count / durationMs) * 1000 * 1.2];
  for (let probe = 0; probe < PROBES; probe++) {
    const ratePerSec = Math.max(1, Math.round(probe === 0 ? tooHigh * 0.75 : (held + tooHigh) / 2));
    const { latencies_us, unanswered } = await options.generator.send({ ...load, ratePerSec, durationMs });
    if (latencies_us.length === 0) throw answersNothing(variant);
    if (unanswered === 0 && percentile(latencies_us.sort(), PERCENTILES.p99) <= HELD_P99_US) held = ratePerSec;
    else tooHigh = ratePerSec;
  }
  return held;
}

function answersNothing({ name }: Variant): Failure {
  return new Failure(`${name} answers no request of those at a fixed rate with 200.`);
}

function holdsNothing(variant: Variant | undefined): Failure {
  const limit = `99 of 100 requests within ${String(HELD_P99_US / 1000)} ms`;
  return new Failure(`${variant?.name ?? "A variant"} holds no rate at all with ${limit}: the machine is too busy.`, {
    fix: "Run it again when less else runs, or say at which rate to measure: --rate.",
  });
}

type Summary = Omit<LatencyResult, "variant" | "name" | "highest_rate_per_sec">;

function summary(own: readonly Latencies[], base: readonly Latencies[]): Summary {
  const each = (rounds: readonly Latencies[], share: number): number[] =>
    rounds.map(({ latencies_us }) => percentile(latencies_us, share));
  const byPercentile = (figure: (share: number) => readonly number[]): Record<PercentileName, Estimate> => ({
    p50: estimate(figure(PERCENTILES.p50)),
    p90: estimate(figure(PERCENTILES.p90)),
    p99: estimate(figure(PERCENTILES.p99)),
    p999: estimate(figure(PERCENTILES.p999)),
  });
  const all = Float64Array.from(own.flatMap(({ latencies_us }) => [...latencies_us])).sort();
  return {
    latency_us: byPercentile((share) => each(own, share)),
    added_us: byPercentile((share) => {
      const bases = each(base, share);
      return each(own, share).map((value, round) => value - (bases[round] ?? NaN));
    }),
    rounds_p99_us: each(own, PERCENTILES.p99),
    distribution: SHARES.map((share) => ({ share, latency_us: percentile(all, share) })),
    requests: all.length,
    unanswered: own.reduce((sum, { unanswered }) => sum + unanswered, 0),
  };
}

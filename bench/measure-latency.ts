import { Failure } from "../shim/errors.js";
import { type Generator, type Latencies, PATIENCE_MS } from "./generator.js";
import { during, requestBytes, sendClosedLoop } from "./load.js";
import { type Estimate, estimate, percentile, seeded, shuffled } from "./statistics.js";
import type { Subject } from "./subject.js";
import type { Variant } from "./variants.js";

export interface LatencyOptions {
  /** An Envoy with all variants, that is ended after `use`. */
  readonly withSubject: <T>(use: (subject: Subject) => Promise<T>) => Promise<T>;
  /** Envoys that are measured, one after another. */
  readonly processes: number;
  readonly generator: Generator;
  /** The first one is what the others are compared with. */
  readonly variants: readonly Variant[];
  /** Of each Envoy. */
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
  /** Of these: got no 200 within two seconds, and count as such that took as long. */
  readonly unanswered: number;
}

export interface LatencyResults {
  readonly rate_per_sec: number;
  /** Envoys that were measured, one after another. */
  readonly processes: number;
  readonly variants: readonly LatencyResult[];
}

const SHARES = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999];
const HEADERS = { "user-agent": "bench", accept: "*/*" };

const CONNECTIONS = 64;
const PROBES = 6;
const ATTEMPTS = 3;
/** A rate is held if every request is answered, and 99 of 100 within this time. */
const HELD_P99_US = 50_000;

/**
 * Measures the latency at one rate, in rounds in which the variants take turns, in each an order of its own; before that, which rate each
 * of them holds. @throws Failure if one of them holds none
 */
export async function measureLatency(options: LatencyOptions): Promise<LatencyResults> {
  const { variants, processes, withSubject } = options;
  const highest =
    options.ratePerSec === undefined ? await withSubject((subject) => highestRates(options, subject)) : null;
  const ratePerSec = options.ratePerSec ?? Math.round(Math.min(...(highest?.values() ?? [])) / 2);
  if (ratePerSec < 1) throw holdsNothing(variants.find(({ id }) => highest?.get(id) === 0));
  const samples = new Map(variants.map(({ id }): [string, Latencies[]] => [id, []]));
  for (let nth = 1; nth <= processes; nth++) {
    await withSubject((subject) => measureOne(options, subject, ratePerSec, `Envoy ${nth} of ${processes}`, samples));
  }
  const base = samples.get(variants[0]?.id ?? "") ?? [];
  return {
    rate_per_sec: ratePerSec,
    processes,
    variants: variants.map(({ id, name }) => ({
      variant: id,
      name,
      highest_rate_per_sec: highest?.get(id) ?? null,
      ...summary(samples.get(id) ?? [], base, processes),
    })),
  };
}

async function measureOne(
  options: LatencyOptions,
  subject: Subject,
  ratePerSec: number,
  title: string,
  samples: ReadonlyMap<string, Latencies[]>,
): Promise<void> {
  const { variants, rounds, generator, durationMs, onProgress } = options;
  const random = seeded(rounds);
  for (let round = 1; round <= rounds; round++) {
    for (const variant of shuffled(variants, random)) {
      onProgress(`latency at ${ratePerSec}/s: ${title}: round ${round} of ${rounds}: ${variant.name}`);
      const sent = await generator.send({ ...loadOf(subject, variant), ratePerSec, durationMs });
      if (sent.latencies_us.length === 0) throw answersNothing(variant);
      samples.get(variant.id)?.push({ ...sent, latencies_us: withUnanswered(sent).sort() });
    }
  }
}

/** A request that nobody answered took as long as one waits: whoever loses the slowest is not the faster for it. */
function withUnanswered({ latencies_us, unanswered }: Latencies): Float64Array {
  const all = new Float64Array(latencies_us.length + unanswered).fill(PATIENCE_MS * 1000);
  all.set(latencies_us);
  return all;
}

function loadOf(subject: Subject, variant: Variant) {
  return { port: subject.portOf(variant), host: variant.host, headers: HEADERS };
}

async function highestRates(options: LatencyOptions, subject: Subject): Promise<ReadonlyMap<string, number>> {
  const rates = new Map<string, number>();
  for (const variant of options.variants) {
    options.onProgress(`latency: highest rate: ${variant.name}`);
    rates.set(variant.id, await highestRate(options, subject, variant));
  }
  return rates;
}

/** Between nothing and what a closed loop gets through, halved until it is known well enough. */
async function highestRate(options: LatencyOptions, subject: Subject, variant: Variant): Promise<number> {
  const load = loadOf(subject, variant);
  const { durationMs } = options;
  const request = requestBytes(load.host, HEADERS);
  const count = await sendClosedLoop({ ...load, connections: CONNECTIONS, next: during(durationMs, () => request) });
  // Another program can make a rate look as if it were not held, and never the other way round.
  const isHeld = async (ratePerSec: number): Promise<boolean> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { latencies_us, unanswered } = await options.generator.send({ ...load, ratePerSec, durationMs });
      if (unanswered === 0 && percentile(latencies_us.sort(), PERCENTILES.p99) <= HELD_P99_US) return true;
    }
    return false;
  };
  let [held, tooHigh] = [0, (count / durationMs) * 1000 * 1.2];
  for (let probe = 0; probe < PROBES; probe++) {
    const ratePerSec = Math.max(1, Math.round(probe === 0 ? tooHigh * 0.75 : (held + tooHigh) / 2));
    if (await isHeld(ratePerSec)) held = ratePerSec;
    else tooHigh = ratePerSec;
  }
  return held;
}

function answersNothing({ name }: Variant): Failure {
  return new Failure(`${name} answers no request of those at a fixed rate with 200.`, {
    fix: "If it does otherwise, the turns are too short or the rate is too high: --seconds, --rate.",
  });
}

function holdsNothing(variant: Variant | undefined): Failure {
  const limit = `99 of 100 requests within ${String(HELD_P99_US / 1000)} ms`;
  return new Failure(`${variant?.name ?? "A variant"} holds no rate at all with ${limit}: the machine is too busy.`, {
    fix: "Run it again when less else runs, or say at which rate to measure: --rate.",
  });
}

type Summary = Omit<LatencyResult, "variant" | "name" | "highest_rate_per_sec">;

function summary(own: readonly Latencies[], base: readonly Latencies[], processes: number): Summary {
  const each = (rounds: readonly Latencies[], share: number): number[] =>
    rounds.map(({ latencies_us }) => percentile(latencies_us, share));
  const byPercentile = (figure: (share: number) => readonly number[]): Record<PercentileName, Estimate> => ({
    p50: estimate(figure(PERCENTILES.p50), processes),
    p90: estimate(figure(PERCENTILES.p90), processes),
    p99: estimate(figure(PERCENTILES.p99), processes),
    p999: estimate(figure(PERCENTILES.p999), processes),
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

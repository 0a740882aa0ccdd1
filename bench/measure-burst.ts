import { startMetadataServer } from "../shim/local/metadata-server.js";
import { Failure } from "../shim/errors.js";
import { probe } from "./probe.js";
import { type Estimate, estimate } from "./statistics.js";
import { type PartOptions, startSubject } from "./subject.js";
import { CALLERS } from "./surroundings.js";
import type { Variant } from "./variants.js";

/** Many requests at once for a token that is not there yet. */
export interface BurstResult {
  readonly variant: string;
  readonly name: string;
  readonly requests: number;
  /** Answered with 200, in the round in which the fewest were. */
  readonly answered: number;
  /** From the first request to the last answer. */
  readonly duration_ms: Estimate;
  /** From when the metadata server gave the first token to the last answer. */
  readonly after_token_ms: Estimate;
  /** Asked of the metadata server, which takes `token_delay_ms` for each answer. */
  readonly token_fetches: Estimate;
  readonly token_delay_ms: number;
}

export interface BurstOptions extends PartOptions {
  readonly rounds: number;
}

const REQUESTS = 200;
/** Longer than it takes to start Envoy and connect. */
const TOKEN_DELAY_MS = 1000;

interface Burst {
  readonly answered: number;
  readonly durationMs: number;
  readonly afterTokenMs: number;
  readonly fetches: number;
}

/** Starts an Envoy for each round and variant, and sends it 200 requests at once before the metadata server has answered. */
export async function measureBurst({ variants, rounds, ...options }: BurstOptions): Promise<readonly BurstResult[]> {
  const results: BurstResult[] = [];
  for (const variant of variants) {
    const bursts: Burst[] = [];
    for (let round = 1; round <= rounds; round++) {
      options.onProgress(`cold burst: round ${round} of ${rounds}: ${variant.name}`);
      bursts.push(await burst(options, variant, round));
    }
    results.push({
      variant: variant.id,
      name: variant.name,
      requests: REQUESTS,
      answered: Math.min(...bursts.map(({ answered }) => answered)),
      duration_ms: estimate(bursts.map(({ durationMs }) => durationMs)),
      after_token_ms: estimate(bursts.map(({ afterTokenMs }) => afterTokenMs)),
      token_fetches: estimate(bursts.map(({ fetches }) => fetches)),
      token_delay_ms: TOKEN_DELAY_MS,
    });
  }
  return results;
}

async function burst(
  { surroundings, envoyPath }: Omit<BurstOptions, "variants" | "rounds">,
  variant: Variant,
  round: number,
): Promise<Burst> {
  const { keeper, keys, upstreams } = surroundings;
  const metadata = await startMetadataServer({ keys, email: CALLERS.email, delayMs: TOKEN_DELAY_MS });
  const { envoy, portOf } = await startSubject({
    keeper,
    envoyPath,
    name: `burst-${variant.id}-${round}`,
    variants: [variant],
    upstreams: { ...upstreams, metadata: metadata.port },
    workers: 1,
  });
  try {
    const target = { port: portOf(variant), host: variant.host };
    const startMs = Date.now();
    const answers = await Promise.all(Array.from({ length: REQUESTS }, () => probe(target)));
    const endMs = Date.now();
    const [first] = metadata.requests;
    const tokenMs = (first?.at ?? NaN) + TOKEN_DELAY_MS;
    if (!(startMs < tokenMs))
      throw new Failure(`${variant.name}: its token was there before the burst: the machine is too busy.`);
    const answered = answers.filter(({ status }) => status === 200).length;
    return { answered, durationMs: endMs - startMs, afterTokenMs: endMs - tokenMs, fetches: metadata.requests.length };
  } finally {
    await envoy.stop();
    await metadata.close();
  }
}

import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { untilServing } from "./probe.js";
import { type PartOptions, startSubject } from "./subject.js";
import type { TokenSource } from "./tokens.js";
import { Callgrind, type Counted } from "./valgrind.js";
import type { Variant } from "./variants.js";
import { type OpenWorkload, SMALL_REQUESTS } from "./workloads.js";

/** What a variant makes Envoy execute for one request of the headline: the same however busy the machine is. */
export interface InstructionsResult {
  readonly variant: string;
  readonly name: string;
  /** Of Envoy and of the code that it compiles; the kernel's are not counted. */
  readonly instructions: number;
  /** More than the variant without a filter, in the same Envoy. */
  readonly added_instructions: number;
  /** Of `instructions`, those of code that Envoy has compiled: a filter's own. The rest is what the filter makes Envoy do. */
  readonly compiled_instructions: number;
  readonly requests: number;
}

export interface InstructionsOptions extends PartOptions {
  readonly valgrindPath: string;
  readonly tokens: TokenSource;
}

const WARM_UP_REQUESTS = 300;
const REQUESTS = 1000;
/** Envoy is many times as slow under Valgrind. */
const READY_TIMEOUT_MS = 180_000;
const SERVING_TIMEOUT_MS = 60_000;
/** However many cores there are, memory may not be as much. */
const MOST_AT_ONCE = 4;

/**
 * Counts in an Envoy for each variant: Valgrind has no room for the address spaces of many VMs in one. Since that takes a while, and nothing
 * is timed, as many run at once as there are cores.
 */
export async function measureInstructions(options: InstructionsOptions): Promise<readonly InstructionsResult[]> {
  const { variants, onProgress } = options;
  const jobs = variants.flatMap((variant) => {
    const base = variants.find(({ id }) => id === variant.base);
    return base === undefined || base === variant ? [] : [{ variant, base }];
  });
  const results: InstructionsResult[] = [];
  const waiting = jobs.entries();
  const work = async (): Promise<void> => {
    for (const [index, { variant, base }] of waiting) {
      onProgress(`instructions: ${variant.name}`);
      results[index] = await countOne(options, base, variant);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), MOST_AT_ONCE) }, work));
  return results;
}

async function countOne(
  { surroundings, envoyPath, tokens, valgrindPath }: InstructionsOptions,
  base: Variant,
  variant: Variant,
): Promise<InstructionsResult> {
  const { keeper, upstreams } = surroundings;
  const dir = join(keeper.workDir, `callgrind-${variant.id}`);
  await mkdir(dir);
  const callgrind = new Callgrind(valgrindPath, dir);
  const { envoy, portOf } = await startSubject({
    ...{ keeper, upstreams, name: `instructions-${variant.id}`, variants: [base, variant], workers: 1 },
    envoyPath: await callgrind.wrap(envoyPath),
    readyTimeoutMs: READY_TIMEOUT_MS,
  });
  const loads: OpenWorkload[] = [];
  const load = async (of: Variant): Promise<OpenWorkload> => {
    const target = { port: portOf(of), variant: of, headers: tokens.headersFor(of) };
    await untilServing({ port: target.port, host: of.host, headers: target.headers() }, SERVING_TIMEOUT_MS);
    const opened = SMALL_REQUESTS.open(target);
    loads.push(opened);
    await opened.send(WARM_UP_REQUESTS);
    return opened;
  };
  try {
    const [without, withFilter] = [await load(base), await load(variant)];
    await callgrind.begin(envoy.pid);
    const counted = async (opened: OpenWorkload): Promise<Counted> => {
      await opened.send(WARM_UP_REQUESTS);
      return callgrind.count(envoy.pid, () => opened.send(REQUESTS));
    };
    const [least, { instructions, compiled }] = [await counted(without), await counted(withFilter)];
    return {
      variant: variant.id,
      name: variant.name,
      instructions: instructions / REQUESTS,
      added_instructions: (instructions - least.instructions) / REQUESTS,
      compiled_instructions: compiled / REQUESTS,
      requests: REQUESTS,
    };
  } finally {
    for (const opened of loads) opened.close();
    await envoy.stop();
  }
}

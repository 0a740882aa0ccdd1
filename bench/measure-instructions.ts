import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { untilServing } from "./probe.js";
import { startSubject } from "./subject.js";
import type { Surroundings } from "./surroundings.js";
import type { TokenSource } from "./tokens.js";
import { Callgrind } from "./valgrind.js";
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
  readonly requests: number;
}

export interface InstructionsOptions {
  readonly surroundings: Surroundings;
  readonly envoyPath: string;
  /** Where Valgrind is looked for, as `PATH`. */
  readonly path: string;
  readonly variants: readonly Variant[];
  readonly tokens: TokenSource;
  readonly onProgress: (text: string) => void;
}

const WARM_UP_REQUESTS = 300;
const REQUESTS = 1000;
/** Envoy is some twenty times as slow under Valgrind. */
const READY_TIMEOUT_MS = 180_000;

/**
 * Counts in an Envoy for each variant: Valgrind has no room for the address spaces of many VMs in one. Undefined where there is no
 * Valgrind.
 */
export async function measureInstructions(
  options: InstructionsOptions,
): Promise<readonly InstructionsResult[] | undefined> {
  const { variants, onProgress, path, surroundings } = options;
  const results: InstructionsResult[] = [];
  for (const variant of variants) {
    const base = variants.find(({ id }) => id === variant.base);
    if (base === undefined || base === variant) continue;
    const dir = join(surroundings.keeper.workDir, `callgrind-${variant.id}`);
    await mkdir(dir);
    const callgrind = await Callgrind.find(path, dir);
    if (callgrind === undefined) return undefined;
    onProgress(`instructions: ${variant.name}`);
    results.push(await countOne(options, callgrind, base, variant));
  }
  return results;
}

async function countOne(
  { surroundings, envoyPath, tokens }: InstructionsOptions,
  callgrind: Callgrind,
  base: Variant,
  variant: Variant,
): Promise<InstructionsResult> {
  const { keeper, upstreams } = surroundings;
  const { envoy, portOf } = await startSubject({
    ...{ keeper, upstreams, name: `instructions-${variant.id}`, variants: [base, variant], workers: 1 },
    envoyPath: await callgrind.wrap(envoyPath),
    readyTimeoutMs: READY_TIMEOUT_MS,
  });
  const loads: OpenWorkload[] = [];
  const load = async (of: Variant): Promise<OpenWorkload> => {
    const target = { port: portOf(of), variant: of, headers: tokens.headersFor(of) };
    await untilServing({ port: target.port, host: of.host, headers: target.headers() });
    const opened = SMALL_REQUESTS.open(target);
    loads.push(opened);
    await opened.send(WARM_UP_REQUESTS);
    return opened;
  };
  try {
    const [without, withFilter] = [await load(base), await load(variant)];
    await callgrind.begin(envoy.pid);
    const perRequest = async (opened: OpenWorkload): Promise<number> => {
      await opened.send(WARM_UP_REQUESTS);
      return (await callgrind.count(envoy.pid, () => opened.send(REQUESTS))) / REQUESTS;
    };
    const [least, instructions] = [await perRequest(without), await perRequest(withFilter)];
    return {
      variant: variant.id,
      name: variant.name,
      instructions,
      added_instructions: instructions - least,
      requests: REQUESTS,
    };
  } finally {
    for (const opened of loads) opened.close();
    await envoy.stop();
  }
}

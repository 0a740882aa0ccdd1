import { setTimeout as delay } from "node:timers/promises";

import { Failure } from "../shim/errors.js";
import { cpuTimeUs } from "./cpu.js";
import type { Subject } from "./subject.js";
import { type Estimate, estimate, median, seeded, shuffled } from "./statistics.js";
import type { Variant } from "./variants.js";
import type { Target, Workload } from "./workloads.js";

export interface CpuOptions {
  /** An Envoy with all variants, that is ended after `use`. */
  readonly withSubject: (use: (subject: Subject) => Promise<void>) => Promise<void>;
  /** Envoys that are measured, one after another. */
  readonly processes: number;
  readonly workload: Workload;
  readonly variants: readonly Variant[];
  /** Of each Envoy. */
  readonly rounds: number;
  /** How long each variant is under load in a round. */
  readonly durationMs: number;
  /** The caller's headers of the next request to a variant. */
  readonly headersFor: (variant: Variant) => Target["headers"];
  readonly onProgress: (text: string) => void;
}

/** What one variant costs under one workload. */
export interface CpuResult {
  readonly variant: string;
  readonly name: string;
  /** CPU time of the whole Envoy process for one request. */
  readonly cpu_us: Estimate;
  /** What the variant adds to the one without a filter, of the same rounds. */
  readonly added_us: Estimate;
  /** `added_us` as a share of what a request costs without a filter. */
  readonly added_share: Estimate;
  readonly requests: number;
  /** Of each round of the first Envoy, then of the next. */
  readonly rounds_cpu_us: readonly number[];
  readonly rounds_added_us: readonly number[];
}

const WARM_UP_MS = 500;
const TURN_DEADLINE_MS = 30_000;
const MOST_LOOKS = 20;

/** What was seen of each variant so far, by its id. */
interface Seen {
  readonly costs: number[];
  requests: number;
}

/**
 * Measures the CPU that a request costs Envoy in each variant. The variants take turns within each round and are compared within
 * it, so that what changes on the machine between rounds cancels out. Each round has an order of its own, and each turn begins with requests
 * that are not counted: who ran before, and what of the caches that one left, is not the variant's. Where a process has its code and data
 * in memory makes a few per cent, so several are measured.
 */
export async function measureCpu(options: CpuOptions): Promise<readonly CpuResult[]> {
  const { variants, processes, withSubject } = options;
  const seen = new Map(variants.map(({ id }): [string, Seen] => [id, { costs: [], requests: 0 }]));
  for (let nth = 1; nth <= processes; nth++) {
    await withSubject((subject) => measureOne(options, subject, `Envoy ${nth} of ${processes}`, seen));
  }
  return variants.map((variant) => resultOf(variant, processes, seen));
}

async function measureOne(
  options: CpuOptions,
  subject: Subject,
  title: string,
  seen: ReadonlyMap<string, Seen>,
): Promise<void> {
  const { workload, variants, rounds, durationMs, headersFor, onProgress } = options;
  const loads = variants.map((variant) => ({
    variant,
    load: workload.open({ port: subject.portOf(variant), variant, headers: headersFor(variant) }),
  }));
  const random = seeded(rounds);
  const { pid } = subject.envoy;
  try {
    for (const { variant, load } of loads) {
      onProgress(`${workload.name}: ${title}: warming up: ${variant.name}`);
      await answered(load.busy(WARM_UP_MS), variant);
    }
    for (let round = 1; round <= rounds; round++) {
      onProgress(`${workload.name}: ${title}: round ${round} of ${rounds}`);
      for (const { variant, load } of shuffled(loads, random)) {
        if (workload.leadIn > 0) await answered(load.send(workload.leadIn), variant);
        const beforeUs = await restingCpuTimeUs(pid);
        const count = await answered(load.busy(durationMs), variant);
        const ofVariant = seen.get(variant.id);
        if (ofVariant === undefined) continue;
        ofVariant.costs.push(((await restingCpuTimeUs(pid)) - beforeUs) / count);
        ofVariant.requests += count;
      }
    }
  } finally {
    for (const { load } of loads) load.close();
  }
}

/** How many requests were answered. @throws Failure where that is none, or takes too long: a filter that pauses requests would hold up all */
async function answered(sending: Promise<number>, { name }: Variant): Promise<number> {
  const deadline = new AbortController();
  const late = delay(TURN_DEADLINE_MS, undefined, { signal: deadline.signal }).then(() => {
    throw new Failure(`${name} has not answered for ${TURN_DEADLINE_MS / 1000} s.`);
  });
  late.catch(() => undefined); // also where nobody waits for it any more
  try {
    const count = await Promise.race([sending, late]);
    if (count === 0) throw new Failure(`${name} answered nothing.`);
    return count;
  } finally {
    deadline.abort();
  }
}

/**
 * CPU time used so far, once the process rests: what it still does for the turn that has just ended is that turn's, and while a thread
 * runs the kernel's account lags behind.
 */
async function restingCpuTimeUs(pid: number): Promise<number> {
  let seenUs = cpuTimeUs(pid);
  for (let look = 0; look < MOST_LOOKS; look++) {
    await delay(1);
    const nowUs = cpuTimeUs(pid);
    if (nowUs === seenUs) break;
    seenUs = nowUs;
  }
  return seenUs;
}

function resultOf({ id, name, base }: Variant, processes: number, seen: ReadonlyMap<string, Seen>): CpuResult {
  const { costs: own = [], requests = 0 } = seen.get(id) ?? {};
  const bases = seen.get(base)?.costs ?? [];
  const added = own.map((cost, round) => cost - (bases[round] ?? NaN));
  const baseCost = median(bases);
  return {
    variant: id,
    name,
    cpu_us: estimate(own, processes),
    added_us: estimate(added, processes),
    added_share: estimate(
      added.map((cost) => cost / baseCost),
      processes,
    ),
    requests,
    rounds_cpu_us: own,
    rounds_added_us: added,
  };
}

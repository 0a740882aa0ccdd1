import { cpuTimeUs } from "./cpu.js";
import type { Subject } from "./subject.js";
import { type Estimate, estimate, median } from "./statistics.js";
import type { Variant } from "./variants.js";
import type { Target, Workload } from "./workloads.js";

export interface CpuOptions {
  readonly subject: Subject;
  readonly workload: Workload;
  readonly variants: readonly Variant[];
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
  /** Of each round. */
  readonly rounds_cpu_us: readonly number[];
  readonly rounds_added_us: readonly number[];
}

const WARM_UP_MS = 500;

/**
 * Measures the CPU that a request costs Envoy in each variant. The variants take turns within each round and are compared within
 * it, so that what changes on the machine between rounds cancels out; every other round goes through them backwards.
 */
export async function measureCpu(options: CpuOptions): Promise<readonly CpuResult[]> {
  const { subject, workload, variants, rounds, durationMs, headersFor, onProgress } = options;
  const loads = variants.map((variant) => ({
    variant,
    load: workload.open({ port: subject.portOf(variant), variant, headers: headersFor(variant) }),
  }));
  const costs = new Map(variants.map(({ id }): [string, number[]] => [id, []]));
  const requests = new Map<string, number>();
  try {
    for (const { variant, load } of loads) {
      onProgress(`${workload.name}: warming up: ${variant.name}`);
      await load.busy(WARM_UP_MS);
    }
    for (let round = 1; round <= rounds; round++) {
      onProgress(`${workload.name}: round ${round} of ${rounds}`);
      for (const { variant, load } of round % 2 === 1 ? loads : loads.toReversed()) {
        const before = cpuTimeUs(subject.envoy.pid);
        const count = await load.busy(durationMs);
        costs.get(variant.id)?.push((cpuTimeUs(subject.envoy.pid) - before) / count);
        requests.set(variant.id, (requests.get(variant.id) ?? 0) + count);
      }
    }
  } finally {
    for (const { load } of loads) load.close();
  }
  return variants.map((variant) => resultOf(variant, costs, requests.get(variant.id) ?? 0));
}

function resultOf(
  { id, name, base }: Variant,
  costs: ReadonlyMap<string, readonly number[]>,
  requests: number,
): CpuResult {
  const own = costs.get(id) ?? [];
  const bases = costs.get(base) ?? [];
  const added = own.map((cost, round) => cost - (bases[round] ?? NaN));
  return {
    variant: id,
    name,
    cpu_us: estimate(own),
    added_us: estimate(added),
    added_share: estimate(added.map((cost) => cost / median(bases))),
    requests,
    rounds_cpu_us: own,
    rounds_added_us: added,
  };
}

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type Keeper, openKeeper } from "../shim/envoy/keeper.js";
import { type RunningEnvoy, startEnvoy } from "../shim/envoy/start.js";
import { Failure } from "../shim/errors.js";
import { createKeySet } from "../shim/local/keys.js";
import { startMetadataServer } from "../shim/local/metadata-server.js";
import { cpuTimeUs } from "./cpu.js";
import { serviceConfig, subjectConfig } from "./envoy-config.js";
import { apply } from "./load.js";
import { type Estimate, estimate, median } from "./statistics.js";
import type { Variant } from "./variants.js";

export interface MeasureOptions {
  readonly envoyPath: string;
  readonly variants: readonly Variant[];
  readonly rounds: number;
  /** How long each variant is under load in a round. */
  readonly durationMs: number;
  readonly onProgress: (text: string) => void;
}

export interface Result {
  readonly name: string;
  /** CPU time of the whole Envoy process for one request. */
  readonly cpu_us: Estimate;
  /** What the variant adds to the first one, of the same rounds. */
  readonly added_us: Estimate;
  /** `added_us` as a share of what a request costs in the first variant. */
  readonly added_share: Estimate;
  readonly requests: number;
}

const CONNECTIONS = 8;
const WARM_UP_MS = 500;

/**
 * Measures the CPU that a request costs Envoy in each variant. The variants take turns within each round and are compared within
 * it, so that what changes on the machine between rounds cancels out. The first variant is what the others are compared with.
 */
export async function measure(options: MeasureOptions): Promise<readonly Result[]> {
  const metadata = await startMetadataServer({
    keys: await createKeySet(),
    email: "bench@local.iam.gserviceaccount.com",
  });
  const keeper = await openKeeper();
  try {
    const service = await start(keeper, options, "service", serviceConfig());
    const config = subjectConfig(options.variants, portOf(service, "service"), metadata.port);
    return await measureRounds(options, await start(keeper, options, "subject", config));
  } finally {
    await keeper.close();
    await metadata.close();
  }
}

async function measureRounds(options: MeasureOptions, subject: RunningEnvoy): Promise<readonly Result[]> {
  const { variants, rounds, durationMs, onProgress } = options;
  const costs = variants.map((): number[] => []);
  const requests = variants.map(() => 0);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { name, host }] of variants.entries()) {
      onProgress(round === 0 ? `warming up: ${name}` : `round ${String(round)} of ${String(rounds)}: ${name}`);
      const port = portOf(subject, String(index));
      const before = cpuTimeUs(subject.pid);
      const count = await apply({
        port,
        host,
        connections: CONNECTIONS,
        durationMs: round === 0 ? WARM_UP_MS : durationMs,
      });
      if (round === 0) continue;
      costs[index]?.push((cpuTimeUs(subject.pid) - before) / count);
      requests[index] = (requests[index] ?? 0) + count;
    }
  }
  const base = costs[0] ?? [];
  return variants.map(({ name }, index) => {
    const own = costs[index] ?? [];
    const added = own.map((cost, round) => cost - (base[round] ?? NaN));
    return {
      name,
      cpu_us: estimate(own),
      added_us: estimate(added),
      added_share: estimate(added.map((cost) => cost / median(base))),
      requests: requests[index] ?? 0,
    };
  });
}

async function start(
  keeper: Keeper,
  { envoyPath }: MeasureOptions,
  name: string,
  config: object,
): Promise<RunningEnvoy> {
  const dir = join(keeper.workDir, name);
  await mkdir(dir);
  const configPath = join(dir, "envoy.json");
  await writeFile(configPath, JSON.stringify(config));
  return startEnvoy({ keeper, envoyPath, hop: name, dir, configPath, concurrency: 1 });
}

function portOf(envoy: RunningEnvoy, listener: string): number {
  const address = envoy.listeners.get(listener);
  if (address === undefined) throw new Failure(`The Envoy ${envoy.hop} has no listener ${listener}.`);
  return address.port;
}

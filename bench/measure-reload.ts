import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { reloadableConfig } from "./envoy-config.js";
import { probeUntil, untilServing } from "./probe.js";
import { type Estimate, estimate } from "./statistics.js";
import { type PartOptions, portOf, startBenchEnvoy } from "./subject.js";
import type { Variant } from "./variants.js";

/** A new configuration while requests come in. */
export interface ReloadResult {
  readonly variant: string;
  readonly name: string;
  /** From the change of Envoy's configuration to the first answer that is of the new one. */
  readonly reload_ms: Estimate;
  /** Answers on the way that were no 200. */
  readonly failed: number;
}

export interface ReloadOptions extends PartOptions {
  readonly rounds: number;
}

/** Changes the listener of each variant as a control plane would, again and again, and watches from outside. */
export async function measureReload({ variants, ...options }: ReloadOptions): Promise<readonly ReloadResult[]> {
  const results: ReloadResult[] = [];
  for (const variant of variants) {
    options.onProgress(`reload: ${variant.name}`);
    results.push(await measureOne(options, variant));
  }
  return results;
}

async function measureOne(
  { surroundings, envoyPath, rounds }: Omit<ReloadOptions, "variants">,
  variant: Variant,
): Promise<ReloadResult> {
  const { keeper, upstreams } = surroundings;
  const name = `reload-${variant.id}`;
  const path = join(keeper.workDir, `${name}.json`);
  const { bootstrap, listeners } = reloadableConfig(variant, upstreams, path);
  await writeFile(path, listeners(0));
  const envoy = await startBenchEnvoy({ keeper, envoyPath, name, config: bootstrap, workers: 1 });
  try {
    const target = { port: portOf(envoy, variant.id), host: variant.host };
    await untilServing(target);
    const durations: number[] = [];
    let failed = 0;
    for (let generation = 1; generation <= rounds; generation++) {
      await writeFile(`${path}.new`, listeners(generation));
      const startMs = performance.now();
      await rename(`${path}.new`, path);
      const isNew = (value: string | string[] | undefined): boolean => value === String(generation);
      const answers = await probeUntil(target, ({ headers }) => isNew(headers["x-bench-generation"]));
      durations.push(performance.now() - startMs);
      failed += answers.filter(({ status }) => status !== 200).length;
    }
    return { variant: variant.id, name: variant.name, reload_ms: estimate(durations), failed };
  } finally {
    await envoy.stop();
  }
}

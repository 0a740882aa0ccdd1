import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Keeper } from "../shim/envoy/keeper.js";
import { type RunningEnvoy, startEnvoy } from "../shim/envoy/start.js";
import { Failure } from "../shim/errors.js";
import { subjectConfig, type Upstreams } from "./envoy-config.js";
import type { Surroundings } from "./surroundings.js";
import type { Variant } from "./variants.js";

/** The Envoy that is measured. */
export interface Subject {
  readonly envoy: RunningEnvoy;
  /** Where requests to a variant go. */
  readonly portOf: (variant: Variant) => number;
}

/** What every part needs that starts Envoys of its own. */
export interface PartOptions {
  readonly surroundings: Surroundings;
  readonly envoyPath: string;
  readonly variants: readonly Variant[];
  readonly onProgress: (text: string) => void;
}

export interface SubjectOptions {
  readonly keeper: Keeper;
  readonly envoyPath: string;
  /** Of this Envoy alone: its folder is called so. */
  readonly name: string;
  readonly variants: readonly Variant[];
  readonly upstreams: Upstreams;
  readonly workers: number;
  /** As that of `startEnvoy`. */
  readonly readyTimeoutMs?: number;
}

export async function startSubject({ variants, upstreams, ...options }: SubjectOptions): Promise<Subject> {
  const envoy = await startBenchEnvoy({ ...options, config: subjectConfig(variants, upstreams) });
  return { envoy, portOf: (variant) => portOf(envoy, variant.id) };
}

interface BenchEnvoyOptions {
  readonly keeper: Keeper;
  readonly envoyPath: string;
  readonly name: string;
  readonly config: object;
  readonly workers: number;
  readonly readyTimeoutMs?: number;
}

/** Starts an Envoy with a configuration of ours; it goes with the keeper. */
export async function startBenchEnvoy(options: BenchEnvoyOptions): Promise<RunningEnvoy> {
  const { keeper, envoyPath, name, config, workers, ...timeouts } = options;
  const dir = join(keeper.workDir, name);
  await mkdir(dir, { recursive: true });
  const configPath = join(dir, "envoy.json");
  await writeFile(configPath, JSON.stringify(config));
  return startEnvoy({ keeper, envoyPath, hop: name, dir, configPath, concurrency: workers, ...timeouts });
}

export function portOf(envoy: RunningEnvoy, listener: string): number {
  const address = envoy.listeners.get(listener);
  if (address === undefined) throw new Failure(`The Envoy ${envoy.hop} has no listener ${listener}.`);
  return address.port;
}

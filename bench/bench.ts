import { existsSync } from "node:fs";

import { type LocatedEnvoy, lookUp } from "../shim/envoy/locate.js";
import { Failure, UsageError } from "../shim/errors.js";
import { packagePath, packageVersion, wasmPath } from "../shim/package-root.js";
import type { Env } from "../shim/envoy/install.js";
import type { Generator } from "./generator.js";
import { hostCallCosts, hostCallVariants } from "./host-calls.js";
import { noiseWarnings, watchMachine } from "./machine.js";
import { measureBurst } from "./measure-burst.js";
import { type CpuResult, measureCpu } from "./measure-cpu.js";
import { measureLatency } from "./measure-latency.js";
import { measureInstructions } from "./measure-instructions.js";
import { measureMemory } from "./measure-memory.js";
import { measureReload } from "./measure-reload.js";
import { untilServing } from "./probe.js";
import {
  type CpuPart,
  instructionsPart,
  p99Differences,
  ratiosOf,
  type Report,
  type Skipped,
  unansweredWarnings,
  validationRatio,
} from "./report.js";
import { buildRustPeer, type RustPeer } from "./rust-peer.js";
import { startSubject, type Subject } from "./subject.js";
import { CALLERS, callerToken, startSurroundings, type Surroundings } from "./surroundings.js";
import { tokenSource, type TokenSource } from "./tokens.js";
import { allVariants, type Peer, type Variant } from "./variants.js";
import { FEW, SMALL_REQUESTS, type Workload, WORKLOADS } from "./workloads.js";

/** What there is to measure: the workloads, and what is no matter of CPU per request. */
export const PARTS = [
  ...WORKLOADS.map(({ id }) => id),
  "latency",
  "instructions",
  "memory",
  "reload",
  "burst",
] as const;

export interface BenchRun {
  readonly envoy: LocatedEnvoy;
  readonly env: Env;
  /** Of `PARTS`. */
  readonly parts: ReadonlySet<string>;
  /** Ids of the variants to measure beside those without a filter; undefined: all. */
  readonly only: ReadonlySet<string> | undefined;
  /** Measure the calls of the host instead. */
  readonly hostCalls: boolean;
  readonly rounds: number;
  /** How long a variant is under load in a round. */
  readonly seconds: number;
  /** Requests before memory is read for the last time. */
  readonly requests: number;
  readonly ratePerSec: number | undefined;
  readonly generator: Generator;
  readonly peer: Peer | undefined;
  readonly onProgress: (text: string) => void;
}

/** Latency needs more requests than CPU does: p99.9 is a matter of one in a thousand. */
const LATENCY_TIMES = 4;
const LATENCY_VARIANTS = ["none", "empty", "hopgate-route", "hopgate-inject", "rust-inject", "lua-inject", "peer"];
const MEMORY_VARIANTS = [
  "none",
  "empty",
  "hopgate-inject",
  "hopgate-inject-1000",
  "rust-inject",
  "lua-inject",
  "gcp-authn",
  "peer",
];
const RELOAD_VARIANTS = ["none", "hopgate-inject", "hopgate-inject-1000", "rust-inject", "peer"];
const BURST_VARIANTS = ["hopgate-inject", "gcp-authn"];

/** Everything that the measurements of one run share. */
interface Scene {
  readonly run: BenchRun;
  readonly surroundings: Surroundings;
  readonly variants: readonly Variant[];
  readonly tokens: TokenSource;
}

/** Measures what `run` asks for. It takes minutes. @throws Failure where Envoy or a filter does not do what it should */
export async function bench(run: BenchRun): Promise<Report> {
  const startedAt = new Date();
  const machineSeen = watchMachine();
  const rust: RustPeer = run.hostCalls ? { why: NOT_ASKED_FOR } : await builtPeer(run);
  const surroundings = await startSurroundings(run.envoy.path);
  try {
    const wantNew = run.parts.has(SMALL_REQUESTS.id) || run.parts.has("instructions");
    const tokens = await tokenSource(surroundings.keys, wantNew && !run.hostCalls);
    const variants = run.hostCalls ? hostCallVariants() : await chosenVariants(run, rust, surroundings);
    const scene: Scene = { run, surroundings, variants, tokens };
    const measured = run.hostCalls ? await measureHostCalls(scene) : await measureParts(scene);
    const machine = machineSeen();
    const results = measured.cpu.flatMap(({ variants: of }) => of);
    return {
      schema_version: 3,
      started_at: startedAt.toISOString(),
      duration_s: Math.round((Date.now() - startedAt.getTime()) / 1000),
      machine,
      versions: {
        hopgate: packageVersion(),
        envoy: run.envoy.version,
        node: process.version,
        rust: "path" in rust ? rust.compiler : null,
      },
      generator: measured.latency === null ? null : run.generator.name,
      warnings: [...unansweredWarnings(measured.latency), ...(isTimed(run) ? noiseWarnings(machine, results) : [])],
      ...measured,
      skipped: [...("why" in rust && rust.why !== NOT_ASKED_FOR ? [skippedPeer(rust.why)] : []), ...measured.skipped],
    };
  } finally {
    await surroundings.close();
  }
}

/** Counts are the same on a busy machine. */
function isTimed({ parts, hostCalls }: BenchRun): boolean {
  return hostCalls || [...parts].some((part) => part !== "instructions");
}

type Measured = Pick<
  Report,
  "cpu" | "latency" | "instructions" | "memory" | "reload" | "burst" | "host_calls" | "skipped"
>;

async function measureParts(scene: Scene): Promise<Measured> {
  const { run, surroundings, variants } = scene;
  const skipped: Skipped[] = [];
  /** What has been measured must not be lost where another part fails. */
  const part = async <T>(what: string, none: T, measure: () => Promise<T>): Promise<T> => {
    if (!run.parts.has(what)) return none;
    try {
      return await measure();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      skipped.push({ what, why: [error.message, error.fix].filter(Boolean).join(" "), failed: true });
      return none;
    }
  };
  const cpu: CpuPart[] = [];
  for (const workload of WORKLOADS) {
    const measured = await part(workload.id, null, () => measureWorkload(scene, workload));
    if (measured !== null) cpu.push(measured);
  }
  const shared = { surroundings, envoyPath: run.envoy.path, onProgress: run.onProgress, rounds: run.rounds };
  const among = (ids: readonly string[]): readonly Variant[] => variants.filter(({ id }) => ids.includes(id));
  return {
    cpu,
    latency: await part("latency", null, () => latencyPart(scene, among(LATENCY_VARIANTS))),
    instructions: await part("instructions", null, () => countedPart(scene, skipped)),
    memory: await part("memory", [], () =>
      measureMemory({ ...shared, variants: among(MEMORY_VARIANTS), requests: run.requests }),
    ),
    reload: await part("reload", [], () => measureReload({ ...shared, variants: among(RELOAD_VARIANTS) })),
    burst: await part("burst", [], () => measureBurst({ ...shared, variants: among(BURST_VARIANTS) })),
    host_calls: [],
    skipped,
  };
}

async function measureHostCalls(scene: Scene): Promise<Measured> {
  const { results, processes } = await cpuOf(scene, SMALL_REQUESTS, scene.variants);
  const host_calls = hostCallCosts(results, processes);
  return { cpu: [], latency: null, instructions: null, memory: [], reload: [], burst: [], host_calls, skipped: [] };
}

async function measureWorkload(scene: Scene, workload: Workload): Promise<CpuPart> {
  const variants = scene.variants.filter(({ id }) => workload.variants === "all" || FEW.includes(id));
  const { results, processes, rounds, seconds } = await cpuOf(scene, workload, variants);
  return {
    workload: workload.id,
    name: workload.name,
    workers: workload.workers,
    processes,
    rounds,
    seconds,
    chunks: workload.chunks ?? null,
    variants: results,
    ratios: [...ratiosOf(results, processes), ...validationRatio(results, processes)],
  };
}

/** How the time under load that was asked for is divided. */
interface Turns {
  /** Envoys, one after another. */
  readonly processes: number;
  /** Of each of them. */
  readonly rounds: number;
  readonly seconds: number;
}

/** Of fewer rounds than this a process has nothing to compare. */
const LEAST_ROUNDS = 3;
const MOST_PROCESSES = 5;

function turnsOf({ rounds, seconds }: BenchRun, { turnMs }: Workload): Turns {
  const turns = Math.max(1, Math.round((seconds * 1000) / turnMs));
  const processes = processesFor(rounds);
  return { processes, rounds: Math.ceil((rounds * turns) / processes), seconds: seconds / turns };
}

function processesFor(rounds: number): number {
  return Math.min(MOST_PROCESSES, Math.floor(rounds / LEAST_ROUNDS));
}

async function cpuOf(
  scene: Scene,
  workload: Workload,
  variants: readonly Variant[],
): Promise<Turns & { readonly results: readonly CpuResult[] }> {
  const { run, tokens } = scene;
  const turns = turnsOf(run, workload);
  const results = await measureCpu({
    withSubject: (use) => withSubject(scene, `cpu-${workload.id}`, variants, workload.workers, use),
    processes: turns.processes,
    workload,
    variants,
    rounds: turns.rounds,
    durationMs: turns.seconds * 1000,
    headersFor: (variant) => tokens.headersFor(variant),
    onProgress: run.onProgress,
  });
  return { ...turns, results };
}

async function latencyPart(scene: Scene, variants: readonly Variant[]): Promise<Report["latency"]> {
  const { rounds: all, seconds, ratePerSec, generator, onProgress } = scene.run;
  const processes = processesFor(all);
  const rounds = Math.ceil(all / processes);
  const results = await measureLatency({
    withSubject: (use) => withSubject(scene, "latency", variants, 1, use),
    durationMs: seconds * 1000 * LATENCY_TIMES,
    ...{ processes, rounds, generator, variants, ratePerSec, onProgress },
  });
  return { ...results, rounds, seconds: seconds * LATENCY_TIMES, p99_differences: p99Differences(results) };
}

async function countedPart(
  { run, surroundings, variants, tokens }: Scene,
  skipped: Skipped[],
): Promise<Report["instructions"]> {
  const { envoy, env, onProgress } = run;
  const valgrindPath = await lookUp("valgrind", env["PATH"] ?? "");
  if (valgrindPath === undefined) {
    skipped.push({ what: "instructions", why: "there is no Valgrind on PATH", failed: false });
    return null;
  }
  const options = { surroundings, variants, tokens, onProgress, envoyPath: envoy.path, valgrindPath };
  return instructionsPart(await measureInstructions(options));
}

/** An Envoy with these variants, each of which answers, as long as `use` takes. */
async function withSubject<T>(
  { run, surroundings, tokens }: Scene,
  name: string,
  variants: readonly Variant[],
  workers: number,
  use: (subject: Subject) => Promise<T>,
): Promise<T> {
  const { keeper, upstreams } = surroundings;
  const subject = await startSubject({ keeper, envoyPath: run.envoy.path, name, variants, upstreams, workers });
  try {
    for (const variant of variants) {
      const headers = tokens.headersFor(variant)();
      await untilServing({ port: subject.portOf(variant), host: variant.host, headers });
    }
    return await use(subject);
  } finally {
    await subject.envoy.stop();
  }
}

const NOT_ASKED_FOR = "not asked for";

function skippedPeer(why: string): Skipped {
  return { what: "the Rust peer", why, failed: false };
}

async function builtPeer({ env, only, onProgress }: BenchRun): Promise<RustPeer> {
  if (only !== undefined && ![...only].some((id) => id.startsWith("rust-"))) return { why: NOT_ASKED_FOR };
  onProgress("building the Rust peer");
  return buildRustPeer(env);
}

async function chosenVariants(run: BenchRun, rust: RustPeer, { keys }: Surroundings): Promise<readonly Variant[]> {
  const emptyPath = packagePath("build", "bench", "empty.wasm");
  if (!existsSync(emptyPath)) throw new Failure(`${emptyPath} is missing.`, { fix: "Build it: npm run build:peers" });
  const variants = allVariants({
    hopgatePath: wasmPath(),
    emptyPath,
    rustPath: "path" in rust ? rust.path : undefined,
    peer: run.peer,
    token: await callerToken(keys, 0),
    callers: CALLERS,
    jwks: JSON.stringify(keys.jwks()),
  });
  const { only } = run;
  if (only === undefined) return variants;
  const known = variants.map(({ id }) => id);
  // Of a Rust peer that cannot be built the report says why.
  const unknown = [...only].filter((id) => !known.includes(id) && !id.startsWith("rust-"));
  if (unknown.length > 0)
    throw new UsageError(`--variants: there is no ${unknown.join(", ")}`, `write some of ${known.join(", ")}`);
  const isChosen = ({ id }: Variant): boolean => only.has(id) || id === "peer"; // who gives a filter wants it measured
  const bases = new Set(variants.filter(isChosen).map(({ base }) => base));
  return variants.filter((variant) => isChosen(variant) || bases.has(variant.id) || variant.id === "none");
}

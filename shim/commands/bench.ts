import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

import { bench, PARTS } from "../../bench/bench.js";
import { chooseGenerator, type Generator } from "../../bench/generator.js";
import { drawHtml } from "../../bench/html-report.js";
import { exceeded, figuresOf, readLimits } from "../../bench/limits.js";
import { drawReport } from "../../bench/text-report.js";
import type { Peer } from "../../bench/variants.js";
import { locateEnvoy } from "../envoy/locate.js";
import { Failure, UsageError } from "../errors.js";
import type { Io } from "../output/io.js";
import { progress } from "../output/progress.js";

export interface BenchOptions {
  readonly only?: readonly string[];
  readonly variants?: readonly string[];
  readonly hostCalls?: true;
  readonly rounds: number;
  readonly seconds: number;
  readonly requests: number;
  readonly rate?: number;
  readonly generator?: Generator["name"];
  readonly wasm?: string;
  readonly pluginConfig?: string;
  readonly baseline?: string;
  readonly html?: string;
  readonly envoyPath?: string;
  readonly output: "text" | "json";
}

/** `hopgate bench`: what the filter costs. Returns 1 where a limit of the baseline is exceeded. */
export async function benchCommand(options: BenchOptions, io: Io, signal: AbortSignal): Promise<number> {
  if (process.platform !== "linux") {
    throw new Failure("The benchmark needs Linux: it goes by the kernel's account of CPU time and memory.");
  }
  const parts = partsOf(options.only ?? PARTS);
  const limits = options.baseline === undefined ? {} : readLimits(options.baseline);
  const peer = peerOf(options);
  if (options.html !== undefined) {
    if (!existsSync(dirname(resolve(options.html))))
      throw new UsageError(`--html ${options.html}: there is no such folder.`, "Make it, or name a file elsewhere.");
    if (existsSync(options.html) && statSync(options.html).isDirectory())
      throw new UsageError(`--html ${options.html} is a folder.`, "Name a file.");
  }
  const generator = await chooseGenerator(options.generator, io.env["PATH"] ?? "");
  const notify = (line: string): void => void io.stderr.write(`${line}\n`);
  const envoy = await locateEnvoy({ envoyPath: options.envoyPath, env: io.env, install: true, notify });
  const steps = progress(io);
  const report = await bench({
    envoy,
    env: io.env,
    parts,
    only: options.variants === undefined ? undefined : new Set(options.variants),
    hostCalls: options.hostCalls === true,
    rounds: options.rounds,
    seconds: options.seconds,
    requests: options.requests,
    ratePerSec: options.rate,
    generator,
    peer,
    onProgress: (text) => {
      signal.throwIfAborted();
      steps.step(text);
    },
  }).finally(() => steps.done());
  io.stdout.write(`${options.output === "json" ? JSON.stringify(report, null, 2) : drawReport(report)}\n`);
  if (options.html !== undefined) writeFileSync(options.html, drawHtml(report));
  const excesses = exceeded(limits, figuresOf(report));
  for (const excess of excesses) notify(`over the baseline: ${excess}`);
  return excesses.length === 0 && !report.skipped.some(({ failed }) => failed) ? 0 : 1;
}

function partsOf(names: readonly string[]): ReadonlySet<string> {
  const known: readonly string[] = PARTS;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return new Set(names);
  throw new UsageError(`--only: there is nothing called ${unknown} to measure.`, `There is: ${PARTS.join(", ")}.`);
}

/** A filter of the user's own. Its configuration is empty where none is given. */
function peerOf({ wasm, pluginConfig }: BenchOptions): Peer | undefined {
  if (wasm === undefined && pluginConfig === undefined) return undefined;
  if (wasm === undefined) throw new UsageError("--plugin-config is for a filter.", "Give it with --wasm FILE.");
  for (const file of [wasm, pluginConfig]) {
    if (file !== undefined && !existsSync(file))
      throw new UsageError(`${file} does not exist.`, "Give the path of a file.");
  }
  // Envoy is started elsewhere.
  return {
    wasmPath: resolve(wasm),
    configuration: pluginConfig === undefined ? "" : readFileSync(pluginConfig, "utf8"),
  };
}

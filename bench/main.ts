import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { locateEnvoy } from "../shim/envoy/locate.js";
import { Failure, UsageError } from "../shim/errors.js";
import { processIo } from "../shim/output/io.js";
import { progress } from "../shim/output/progress.js";
import { table } from "../shim/output/table.js";
import { wasmPath } from "../shim/package-root.js";
import { exitCodeOf } from "../shim/run-exit-code.js";
import { measure, type Result } from "./measure.js";
import type { Estimate } from "./statistics.js";
import { variants } from "./variants.js";

const io = processIo();

process.exitCode = await main().catch((error: unknown) => exitCodeOf(error, io, new AbortController().signal));

async function main(): Promise<number> {
  const { rounds, seconds, output } = parseFlags();
  const emptyPath = join(dirname(fileURLToPath(import.meta.url)), "empty.wasm");
  if (!existsSync(emptyPath)) {
    throw new Failure(`${emptyPath} is missing.`, { fix: "Run the benchmark with npm run bench, which builds it." });
  }
  const notify = (line: string): void => void io.stderr.write(`${line}\n`);
  const envoy = await locateEnvoy({ env: process.env, install: true, notify });
  const steps = progress(io);
  const results = await measure({
    envoyPath: envoy.path,
    variants: variants(wasmPath(), emptyPath),
    rounds,
    durationMs: seconds * 1000,
    onProgress: (text) => steps.step(text),
  });
  steps.done();
  const cpu = cpus()[0]?.model ?? "unknown";
  const machine = { cpu, cores: cpus().length, envoy: envoy.version, node: process.version };
  io.stdout.write(
    output === "json"
      ? `${JSON.stringify({ schema_version: 1, machine, rounds, seconds, results }, null, 2)}\n`
      : `${drawn(results)}\n\nEnvoy ${machine.envoy}, one worker, HTTP/1.1, ${cpu}, ${machine.cores} cores. 95 % intervals.\n`,
  );
  return 0;
}

function parseFlags(): { readonly rounds: number; readonly seconds: number; readonly output: string } {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "15" },
      seconds: { type: "string", default: "1" },
      output: { type: "string", short: "o", default: "text" },
    },
  });
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  if (!Number.isInteger(rounds) || rounds < 1 || !(seconds > 0)) {
    throw new UsageError(
      "--rounds is a whole number from 1, --seconds a number above 0.",
      "Such as --rounds 15 --seconds 1.",
    );
  }
  return { rounds, seconds, output: values.output };
}

function drawn(all: readonly Result[]): string {
  const rows = all.map(({ name, cpu_us, added_us, added_share }, index) => [
    name,
    cpu_us.median.toFixed(1),
    ...(index === 0 ? ["", "", ""] : [added_us.median.toFixed(1), interval(added_us), added_share.median.toFixed(2)]),
  ]);
  return table([["CPU of Envoy per request", "µs", "added µs", "", "share"], ...rows], "right");
}

function interval({ low, high }: Estimate): string {
  return `${low.toFixed(1)} to ${high.toFixed(1)}`;
}

import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { UsageError } from "../../../shim/errors.js";
import { processIo } from "../../../shim/output/io.js";
import { progress } from "../../../shim/output/progress.js";
import { table } from "../../../shim/output/table.js";
import { exitCodeOf } from "../../../shim/run-exit-code.js";
import { Box, locatePrograms } from "./box.js";
import { startDemonstration, startEcho } from "./demonstration.js";
import { until } from "./part.js";
import { runningBoxes, type State, STATE_FILE } from "./state.js";

const HELP = `Usage: npm run mesh -- COMMAND

A mesh in a box: real Kubernetes, Istio and Envoys on this machine, without containers.

  up              start one, and stay until Ctrl-C or "down"
  status [-o json]  what runs where
  down            end all that run here
`;

const io = processIo();
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());

process.exitCode = await main().catch((error: unknown) => exitCodeOf(error, io, ending.signal));

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: "string", short: "o", default: "text" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [command, ...rest] = positionals;
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  if (rest.length > 0) throw new UsageError(`There is nothing to do with ${rest.join(" ")}.`, HELP);
  switch (command) {
    case "up":
      return up();
    case "down":
      return down();
    case "status":
      return status(values.output);
    default:
      throw new UsageError(command === undefined ? "No command is given." : `There is no command ${command}.`, HELP);
  }
}

async function up(): Promise<number> {
  const steps = progress(io);
  const step = (text: string): void => {
    ending.signal.throwIfAborted(); // between two steps nothing is half done
    steps.step(text);
  };
  const notify = (line: string): void => void io.stderr.write(`${line}\n`);
  const programs = await locatePrograms({ env: process.env, signal: ending.signal, notify });
  step("starting the registry");
  const [box, echo] = [await Box.open(programs), await startEcho()];
  try {
    const state = await startDemonstration(box, echo, step);
    steps.done();
    await writeFile(join(box.workDir, STATE_FILE), JSON.stringify(state));
    io.stdout.write(`${drawn(state)}\n\nRunning. Ctrl-C, or npm run mesh -- down, ends it and removes everything.\n`);
    if (!ending.signal.aborted) await once(ending.signal, "abort");
    return 0;
  } finally {
    steps.done();
    await Promise.all([box.close(), echo.close()]);
  }
}

function drawn({ pid, kubeconfig, registry, programs, proxies }: State): string {
  const rows = proxies.map(({ kind, name, namespace, url }) => [kind, namespace, name, url]);
  return [
    table([["PROXY", "NAMESPACE", "NAME", "URL"], ...rows]),
    "",
    `registry ${registry}, process ${String(pid)}`,
    "",
    "For kubectl, istioctl and crane:",
    `  export KUBECONFIG=${kubeconfig}`,
    `  export PATH=${programs}:$PATH`,
  ].join("\n");
}

function status(output: string): number {
  const boxes = runningBoxes();
  if (output === "json") io.stdout.write(`${JSON.stringify({ boxes }, null, 2)}\n`);
  else io.stdout.write(boxes.length === 0 ? "No mesh in a box runs here.\n" : `${boxes.map(drawn).join("\n\n")}\n`);
  return 0;
}

async function down(): Promise<number> {
  const boxes = runningBoxes();
  for (const { pid } of boxes) process.kill(pid, "SIGTERM");
  for (const { pid, work_dir } of boxes) {
    await until(`the end of process ${String(pid)}`, () => Promise.resolve(existsSync(work_dir) ? undefined : true));
  }
  io.stderr.write(boxes.length === 0 ? "No mesh in a box runs here.\n" : `Ended ${String(boxes.length)}.\n`);
  return 0;
}

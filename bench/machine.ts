import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type as osType } from "node:os";

import type { CpuResult } from "./measure-cpu.js";

/** Where the figures come from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_bytes: number;
  readonly system: string;
  /** Processes that wanted a core when the run began, averaged over a minute. */
  readonly load_at_start: number;
  /** Time during the run in which a hypervisor gave a core that was wanted to somebody else, as a share of all. */
  readonly stolen_share: number;
}

/** Begins to watch the machine; the function that it returns says what there was to see. */
export function watchMachine(): () => Machine {
  const [load = 0] = loadavg();
  const before = cpuTicks();
  return () => {
    const after = cpuTicks();
    const all = cpus();
    return {
      cpu: all[0]?.model ?? "unknown",
      cores: all.length,
      memory_bytes: totalmem(),
      system: `${osType()} ${release()} ${process.arch}`,
      load_at_start: load,
      stolen_share: (after.stolen - before.stolen) / Math.max(after.total - before.total, 1),
    };
  };
}

/** What the machine's cores have been doing since boot, in ticks: the first line of /proc/stat. */
function cpuTicks(): { readonly total: number; readonly stolen: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const ticks = line.split(/\s+/).slice(1, 9).map(Number); // user, nice, system, idle, iowait, irq, softirq, steal
  return { total: ticks.reduce((sum, tick) => sum + tick, 0), stolen: ticks[7] ?? 0 };
}

const QUIET_LOAD_PER_CORE = 0.5;
const QUIET_STOLEN_SHARE = 0.02;
/** Width of an interval in relation to its median. */
const NARROW = 0.2;
/** Of figures below this nobody would take a share. */
const LEAST_US = 2;

/** Why the figures are to be taken with care; empty on a quiet machine. */
export function noiseWarnings(
  { load_at_start, cores, stolen_share }: Machine,
  results: readonly CpuResult[],
): readonly string[] {
  const wide = results.filter(
    ({ added_us: { median, low, high } }) => median > LEAST_US && (high - low) / median > NARROW,
  );
  const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
  return [
    ...(load_at_start > cores * QUIET_LOAD_PER_CORE
      ? [`Other programs were running: the load was ${load_at_start.toFixed(1)} on ${cores} cores at the start.`]
      : []),
    ...(stolen_share > QUIET_STOLEN_SHARE
      ? [`The machine's host took ${percent(stolen_share)} of the CPU time away.`]
      : []),
    ...(wide.length > 0
      ? [
          `The 95 % intervals of ${wide.length} of ${results.length} figures are wider than ${percent(NARROW)} of the figure: ` +
            "the machine is too noisy, or the rounds are too few.",
        ]
      : []),
  ];
}

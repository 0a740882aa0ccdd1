import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type as osType } from "node:os";

import type { CpuResult } from "./measure-cpu.js";
import { median } from "./statistics.js";

/** Where the figures come from. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_bytes: number;
  readonly system: string;
  /** Processes that wanted a core when the run began, averaged over a minute. */
  readonly load_at_start: number;
  /**
   * How long a read out of 4 MiB takes, each from where the one before said: what Envoy, its filters and its buffers take up. The longer
   * of before and after the run: neighbours come and go.
   */
  readonly cache_read_ns: number;
  /** Time during the run in which a hypervisor gave a core that was wanted to somebody else, as a share of all. */
  readonly stolen_share: number;
}

/** Begins to watch the machine; the function that it returns says what there was to see. */
export function watchMachine(): () => Machine {
  const [load = 0] = loadavg();
  const readNsBefore = cacheReadNs();
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
      cache_read_ns: Math.max(readNsBefore, cacheReadNs()),
      stolen_share: (after.stolen - before.stolen) / Math.max(after.total - before.total, 1),
    };
  };
}

const LINE_BYTES = 64;
const CHAIN_BYTES = 4 << 20;
const READS = 100_000;
const LOOKS = 9;

/**
 * Walks a chain of all lines of a memory of 4 MiB in an order that no prefetcher guesses. It fits in the last cache of any server
 * (10 to 40 ns a read) unless others on the same host fill that, which neither the load nor stolen time shows.
 */
function cacheReadNs(): number {
  const words = LINE_BYTES / Int32Array.BYTES_PER_ELEMENT;
  const lines = CHAIN_BYTES / LINE_BYTES;
  const chain = new Int32Array(lines * words);
  // A step of an odd size visits every line of a power of two before it comes back; this one is near the golden section.
  const step = 40_503;
  for (let line = 0; line < lines; line++) chain[line * words] = ((line + step) % lines) * words;
  const walk = (reads: number): number => {
    let at = 0;
    for (let read = 0; read < reads; read++) at = chain[at] ?? 0;
    return at;
  };
  walk(lines); // compiled, and the memory there
  const timed = (): number => {
    const start = process.hrtime.bigint();
    const end = walk(READS);
    const tookNs = Number(process.hrtime.bigint() - start);
    return end < 0 ? NaN : tookNs / READS; // `end` is used, so that the walk is not left out
  };
  return median(Array.from({ length: LOOKS }, timed));
}

/** What the machine's cores have been doing since boot, in ticks: the first line of /proc/stat. */
function cpuTicks(): { readonly total: number; readonly stolen: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n", 1);
  const ticks = line.split(/\s+/).slice(1, 9).map(Number); // user, nice, system, idle, iowait, irq, softirq, steal
  return { total: ticks.reduce((sum, tick) => sum + tick, 0), stolen: ticks[7] ?? 0 };
}

const QUIET_LOAD_PER_CORE = 0.5;
const QUIET_STOLEN_SHARE = 0.02;
const QUIET_CACHE_READ_NS = 60;
/** Width of an interval in relation to its median. */
const NARROW = 0.2;
/** Of figures below this nobody would take a share. */
const LEAST_US = 2;

/** Why the figures are to be taken with care; empty on a quiet machine. */
export function noiseWarnings(
  { load_at_start, cores, stolen_share, cache_read_ns }: Machine,
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
    ...(cache_read_ns > QUIET_CACHE_READ_NS
      ? [
          `Others use up the cache that the machine's cores share: a read out of 4 MiB takes ${cache_read_ns.toFixed(0)} ns, ` +
            "10 to 40 where nobody does. Every figure is higher than on a machine of one's own, and ratios are closer to 1.",
        ]
      : []),
    ...(wide.length > 0
      ? [
          `The 95 % intervals of ${wide.length} of ${results.length} figures are wider than ${percent(NARROW)} of the figure: ` +
            "the machine is too noisy, or the rounds are too few.",
        ]
      : []),
  ];
}

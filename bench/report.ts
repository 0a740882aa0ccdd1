import type { Generator } from "./generator.js";
import type { HostCallCost } from "./host-calls.js";
import type { InstructionsResult } from "./measure-instructions.js";
import type { Machine } from "./machine.js";
import type { BurstResult } from "./measure-burst.js";
import type { CpuResult } from "./measure-cpu.js";
import type { LatencyResults } from "./measure-latency.js";
import type { MemoryResult } from "./measure-memory.js";
import type { ReloadResult } from "./measure-reload.js";
import { type Estimate, estimate, estimateRatio } from "./statistics.js";

/** What a run of the benchmark found out: what `-o json` prints. Field names carry their units. */
export interface Report {
  /** Changes with the shape of the rest. */
  readonly schema_version: 3;
  /** ISO 8601. */
  readonly started_at: string;
  readonly duration_s: number;
  readonly machine: Machine;
  readonly versions: {
    readonly hopgate: string;
    readonly envoy: string;
    readonly node: string;
    readonly rust: string | null;
  };
  /** Who sent the load at a fixed rate; null where none was sent. */
  readonly generator: Generator["name"] | null;
  /** What was not measured, and why. */
  readonly skipped: readonly Skipped[];
  /** Why the figures are to be taken with care; empty on a quiet machine. */
  readonly warnings: readonly string[];
  readonly cpu: readonly CpuPart[];
  readonly latency: LatencyPart | null;
  readonly instructions: InstructionsPart | null;
  readonly memory: readonly MemoryResult[];
  readonly reload: readonly ReloadResult[];
  readonly burst: readonly BurstResult[];
  readonly host_calls: readonly HostCallCost[];
}

export interface Skipped {
  readonly what: string;
  readonly why: string;
  /** It was tried. */
  readonly failed: boolean;
}

/** One workload. */
export interface CpuPart {
  readonly workload: string;
  readonly name: string;
  readonly workers: number;
  /** Envoys that were measured, one after another, and the rounds of each. */
  readonly processes: number;
  readonly rounds: number;
  /** How long each variant was under load in a round. */
  readonly seconds: number;
  /** Parts of each answer that came by themselves; null where it came whole. */
  readonly chunks: number | null;
  readonly variants: readonly CpuResult[];
  /** What one variant adds, divided by what another adds in the same rounds. */
  readonly ratios: readonly Ratio[];
}

export interface Ratio {
  readonly variant: string;
  readonly to: string;
  readonly added_ratio: Estimate;
}

export interface InstructionsPart {
  readonly variants: readonly InstructionsResult[];
  /** What one variant adds, divided by what another adds. */
  readonly ratios: readonly { readonly variant: string; readonly to: string; readonly added_ratio: number }[];
}

export interface LatencyPart extends LatencyResults {
  readonly rounds: number;
  readonly seconds: number;
  /** The p99 of one variant less that of another, round by round. */
  readonly p99_differences: readonly {
    readonly variant: string;
    readonly to: string;
    readonly difference_us: Estimate;
  }[];
}

/** Which variants are compared with each other, beside with no filter. */
const PAIRS: readonly (readonly [string, string])[] = [
  ["hopgate-route", "rust-route"],
  ["hopgate-inject", "rust-inject"],
  ["hopgate-route", "lua-route"],
  ["hopgate-inject", "lua-inject"],
  ["hopgate-route-1000", "hopgate-route"],
  ["hopgate-inject-1000", "hopgate-inject"],
  ["peer", "hopgate-route"],
];

/** The ratios of what was measured, in rounds of so many Envoys. */
export function ratiosOf(results: readonly CpuResult[], processes: number): readonly Ratio[] {
  return pairsAmong(results).map(([above, below]) => ({
    variant: above.variant,
    to: below.variant,
    added_ratio: estimateRatio(above.rounds_added_us, below.rounds_added_us, processes),
  }));
}

/** What checking a caller adds to routing, beside what jwt_authn adds: each over a request with the same token. */
export function validationRatio(results: readonly CpuResult[], processes: number): readonly Ratio[] {
  const rounds = (id: string): readonly number[] =>
    results.find(({ variant }) => variant === id)?.rounds_added_us ?? [];
  const [whole, routing, native] = [
    rounds("hopgate-validate-seen"),
    rounds("hopgate-route"),
    rounds("jwt-authn-cache"),
  ];
  if (whole.length === 0 || routing.length === 0 || native.length === 0) return [];
  const added = whole.map((cost, round) => cost - (routing[round] ?? NaN));
  return [
    {
      variant: "hopgate-validation",
      to: "jwt-authn-cache",
      added_ratio: estimateRatio(added, native, processes),
    },
  ];
}

export function instructionsPart(variants: readonly InstructionsResult[]): InstructionsPart {
  const ratios = pairsAmong(variants).map(([above, below]) => ({
    variant: above.variant,
    to: below.variant,
    added_ratio: above.added_instructions / below.added_instructions,
  }));
  return { variants, ratios: [...ratios, ...countedValidationRatio(variants)] };
}

function countedValidationRatio(variants: readonly InstructionsResult[]): InstructionsPart["ratios"] {
  const added = (id: string): number => variants.find(({ variant }) => variant === id)?.added_instructions ?? NaN;
  const added_ratio = (added("hopgate-validate-seen") - added("hopgate-route")) / added("jwt-authn-cache");
  return Number.isNaN(added_ratio) ? [] : [{ variant: "hopgate-validation", to: "jwt-authn-cache", added_ratio }];
}

export function p99Differences({ variants, processes }: LatencyResults): LatencyPart["p99_differences"] {
  return pairsAmong(variants).map(([above, below]) => ({
    variant: above.variant,
    to: below.variant,
    difference_us: estimate(
      above.rounds_p99_us.map((p99, round) => p99 - (below.rounds_p99_us[round] ?? NaN)),
      processes,
    ),
  }));
}

export function unansweredWarnings(latency: LatencyPart | null): readonly string[] {
  const some = latency?.variants.filter(({ unanswered }) => unanswered > 0) ?? [];
  return some.map(
    ({ name, unanswered, requests }) =>
      `${name}: ${unanswered} of ${requests} requests at the fixed rate got no 200 within two seconds, and count as such that took two seconds.`,
  );
}

function pairsAmong<T extends { readonly variant: string }>(results: readonly T[]): readonly (readonly [T, T])[] {
  const byId = new Map(results.map((result) => [result.variant, result]));
  return PAIRS.flatMap(([above, below]) => {
    const pair = [byId.get(above), byId.get(below)] as const;
    return pair[0] === undefined || pair[1] === undefined ? [] : [[pair[0], pair[1]] as const];
  });
}

import { readFileSync } from "node:fs";

import { z } from "zod";

import { UsageError } from "../shim/errors.js";
import type { Report } from "./report.js";
import type { Estimate } from "./statistics.js";

/** What a run may cost at most: `--baseline FILE`. */

const LIMITS = z.strictObject({
  schema_version: z.literal(1),
  /** Name of a figure (see `figuresOf`) to the most that it may be. */
  limits: z.record(z.string(), z.number()),
});

export type Limits = z.infer<typeof LIMITS>["limits"];

/** @throws UsageError if the file cannot be read or is none */
export function readLimits(path: string): Limits {
  const fix = 'It looks so: { "schema_version": 1, "limits": { "cpu/http1/hopgate-inject/added_us": 12 } }';
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`--baseline ${path}: ${error instanceof Error ? error.message : String(error)}`, fix);
  }
  const parsed = LIMITS.safeParse(document);
  if (parsed.success) return parsed.data.limits;
  throw new UsageError(`--baseline ${path}: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`, fix);
}

/** Every figure of a report that can be limited, by its name: its median where it has an interval. */
export function figuresOf(report: Report): ReadonlyMap<string, number> {
  const figures = new Map<string, number>();
  const add = (name: string, figure: Estimate | number | null): void => {
    const value = typeof figure === "number" || figure === null ? figure : figure.median;
    if (value !== null && !Number.isNaN(value)) figures.set(name, value);
  };
  for (const { workload, chunks, variants, ratios } of report.cpu) {
    for (const { variant, cpu_us, added_us } of variants) {
      add(`cpu/${workload}/${variant}/cpu_us`, cpu_us);
      add(`cpu/${workload}/${variant}/added_us`, added_us);
      if (chunks !== null) add(`cpu/${workload}/${variant}/added_per_chunk_us`, added_us.median / chunks);
    }
    for (const { variant, to, added_ratio } of ratios) add(`cpu/${workload}/${variant}/to/${to}`, added_ratio);
  }
  for (const { variant, added_instructions } of report.instructions?.variants ?? []) {
    add(`instructions/${variant}/added`, added_instructions);
  }
  for (const { variant, to, added_ratio } of report.instructions?.ratios ?? []) {
    add(`instructions/${variant}/to/${to}`, added_ratio);
  }
  for (const result of report.latency?.variants ?? []) {
    add(`latency/${result.variant}/unanswered`, result.unanswered);
    for (const percentile of ["p50", "p90", "p99", "p999"] as const) {
      add(`latency/${result.variant}/${percentile}/added_us`, result.added_us[percentile]);
    }
  }
  for (const { variant, to, difference_us } of report.latency?.p99_differences ?? []) {
    add(`latency/${variant}/p99/over/${to}_us`, difference_us);
  }
  for (const { variant, ...memory } of report.memory) {
    add(`memory/${variant}/vm_end_bytes`, memory.vm_end_bytes);
    add(`memory/${variant}/vm_growth_bytes_per_request`, memory.vm_growth_bytes_per_request);
    add(`memory/${variant}/envoy_start_bytes`, memory.envoy_start_bytes);
    add(`memory/${variant}/envoy_end_bytes`, memory.envoy_end_bytes);
    add(`memory/${variant}/start_ms`, memory.start_ms);
    add(`memory/${variant}/start_cpu_ms`, memory.start_cpu_ms);
  }
  for (const { variant, reload_ms, failed } of report.reload) {
    add(`reload/${variant}/reload_ms`, reload_ms);
    add(`reload/${variant}/failed`, failed);
  }
  for (const { variant, requests, answered, duration_ms, after_token_ms, token_fetches } of report.burst) {
    add(`burst/${variant}/unanswered`, requests - answered);
    add(`burst/${variant}/duration_ms`, duration_ms);
    add(`burst/${variant}/after_token_ms`, after_token_ms);
    add(`burst/${variant}/token_fetches`, token_fetches);
  }
  for (const { call, cost_us } of report.host_calls) add(`host-calls/${call}/cost_us`, cost_us);
  return figures;
}

/** A line for each limit that is exceeded, or that is of a figure that this run does not have: nothing would ever exceed it. */
export function exceeded(limits: Limits, figures: ReadonlyMap<string, number>): readonly string[] {
  return Object.entries(limits).flatMap(([name, limit]) => {
    const figure = figures.get(name);
    if (figure === undefined) return [`${name} was not measured: mend the name, or measure it (--only, --variants)`];
    return figure > limit ? [`${name} is ${rounded(figure)}, more than ${rounded(limit)}`] : [];
  });
}

function rounded(value: number): string {
  return Number(value.toPrecision(4)).toString();
}

/** Many traces of a path in a few numbers, and paths side by side. */

import { milliseconds } from "../output/milliseconds.js";
import { table } from "../output/table.js";
import type { SegmentKind, Trace } from "./path.js";

/** Absent where there was nothing to take them of. */
export interface Percentiles {
  readonly p50_us: number;
  readonly p95_us: number;
}

/** A path's numbers. Each percentile is of its own row: those of the parts need not add up to that of the total. */
export interface PathSummary {
  readonly path: string;
  readonly count: number;
  readonly total: Percentiles | undefined;
  /** Of the traces that have a first token. */
  readonly ttft: Percentiles | undefined;
  readonly connect: Percentiles | undefined;
  /** Own work of each hop, in the order of the path; of the traces that passed it. */
  readonly hops: readonly { readonly name: string; readonly self: Percentiles | undefined }[];
  /** Held by all hops of the path together. */
  readonly wait: Percentiles | undefined;
  /** All networks of the path together. */
  readonly network: Percentiles | undefined;
  /** Of the traces whose service reported its own time. */
  readonly service: Percentiles | undefined;
  /** Service and the network to it, of the traces whose service did not. */
  readonly upstream: Percentiles | undefined;
  readonly stream: Percentiles | undefined;
}

/**
 * The percentile by nearest rank: the smallest of the values that at least `percent` of them do not exceed. Always one of
 * the values, never a mean of two. Undefined for no values.
 *
 * @param percent above 0, at most 100
 */
export function percentile(values: readonly number[], percent: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1];
}

export function summarise(path: string, traces: readonly Trace[]): PathSummary {
  const of = (value: (trace: Trace) => number): Percentiles | undefined => percentiles(traces.map(value));
  return {
    path,
    count: traces.length,
    total: of((trace) => trace.total_us),
    ttft: percentiles(traces.flatMap((trace) => trace.ttft_us ?? [])),
    connect: of((trace) => trace.connect_us),
    hops: hopNames(traces).map((name) => ({ name, self: percentiles(selfTimes(traces, name)) })),
    wait: of((trace) => sum(durations(trace, "wait"))),
    network: of((trace) => sum(durations(trace, "network"))),
    service: percentiles(traces.flatMap((trace) => durations(trace, "service"))),
    upstream: percentiles(traces.flatMap((trace) => durations(trace, "upstream"))),
    stream: percentiles(traces.flatMap((trace) => durations(trace, "stream"))),
  };
}

/**
 * The paths as a table: a row for each part, p50 and p95 in milliseconds for each path. A dash where a path has no such
 * part; parts that no path has are left out.
 *
 *                          in-cluster          Cloud Run
 *     requests                    100                100
 *     milliseconds       p50      p95       p50      p95
 *     client total      3.21     4.80      14.2     19.9
 */
export function comparePaths(summaries: readonly PathSummary[]): string {
  const row = (label: string, part: (summary: PathSummary) => Percentiles | undefined): string[][] => {
    const parts = summaries.map(part);
    return parts.some((values) => values !== undefined) ? [[label, ...parts.map(cell)]] : [];
  };
  const hops = new Set(summaries.flatMap((summary) => summary.hops.map((hop) => hop.name)));
  const rows = [
    ["", ...summaries.map((summary) => summary.path)],
    ["requests", ...summaries.map((summary) => String(summary.count))],
    ["milliseconds", ...summaries.map(() => pair("p50", "p95"))],
    ...row("client total", (summary) => summary.total),
    ...row("first token", (summary) => summary.ttft),
    ...row("client (connect)", (summary) => summary.connect),
    ...row("network", (summary) => summary.network),
    ...[...hops].flatMap((name) =>
      row(`${name} self`, (summary) => summary.hops.find((hop) => hop.name === name)?.self),
    ),
    ...row("wait", (summary) => summary.wait),
    ...row("service", (summary) => summary.service),
    ...row("service + network", (summary) => summary.upstream),
    ...row("stream", (summary) => summary.stream),
  ];
  return table(rows, "right");
}

function cell(values: Percentiles | undefined): string {
  return values === undefined ? pair("-", "-") : pair(milliseconds(values.p50_us), milliseconds(values.p95_us));
}

/** Both numbers of a path are one cell, so that the path's name stands over both. */
function pair(p50: string, p95: string): string {
  return `${p50.padStart(8)} ${p95.padStart(8)}`;
}

function percentiles(values: readonly number[]): Percentiles | undefined {
  const p50_us = percentile(values, 50);
  const p95_us = percentile(values, 95);
  return p50_us === undefined || p95_us === undefined ? undefined : { p50_us, p95_us };
}

function durations(trace: Trace, kind: SegmentKind): number[] {
  return trace.segments.filter((segment) => segment.kind === kind).map((segment) => segment.duration_us);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Names in the order of the path, as far as the traces agree on one. */
function hopNames(traces: readonly Trace[]): string[] {
  return [...new Set(traces.flatMap((trace) => trace.hops.map((hop) => hop.name)))];
}

function selfTimes(traces: readonly Trace[], name: string): number[] {
  return traces.flatMap((trace) => trace.hops.filter((hop) => hop.name === name).map((hop) => hop.self_us));
}

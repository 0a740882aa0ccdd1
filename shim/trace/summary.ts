/** Many traces of a path in a few numbers, and paths side by side. */

import { milliseconds } from "../output/milliseconds.js";
import { table } from "../output/table.js";
import { type Segment, type SegmentKind, SERVICE_WITH_NETWORK, type Trace } from "./path.js";

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
  readonly service: Percentiles | undefined;
  /** Some service did not report its own time: the network to it counts as the service's. */
  readonly service_includes_network: boolean;
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
    wait: of((trace) => sum(trace.segments, "wait")),
    network: of((trace) => sum(trace.segments, "network")),
    service: of((trace) => sum(trace.segments, "service")),
    service_includes_network: traces.some((trace) => trace.segments.some((s) => s.label === SERVICE_WITH_NETWORK)),
    stream: of((trace) => sum(trace.segments, "stream")),
  };
}

/**
 * The paths as a table: a row for each part, two columns (p50 and p95, in milliseconds) for each path.
 *
 *                    in-cluster         Cloud Run
 *                    p50 ms   p95 ms    p50 ms   p95 ms
 *     client total     3.21     4.80      14.2     19.9
 */
export function comparePaths(summaries: readonly PathSummary[]): string {
  const hops = [...new Set(summaries.flatMap((summary) => summary.hops.map((hop) => hop.name)))];
  const service = summaries.some((summary) => summary.service_includes_network) ? SERVICE_WITH_NETWORK : "service";
  const row = (label: string, cell: (summary: PathSummary) => Percentiles | undefined): string[] => [
    label,
    ...summaries.flatMap((summary) => cells(cell(summary))),
  ];
  const rows = [
    ["", ...summaries.flatMap((summary) => ["", summary.path])],
    ["", ...summaries.flatMap(() => ["p50 ms", "p95 ms"])],
    ["requests", ...summaries.flatMap((summary) => ["", String(summary.count)])],
    row("client total", (summary) => summary.total),
    ...(summaries.some((summary) => summary.ttft) ? [row("first token", (summary) => summary.ttft)] : []),
    row("client (connect)", (summary) => summary.connect),
    row("network", (summary) => summary.network),
    ...hops.map((name) => row(`${name} self`, (summary) => summary.hops.find((hop) => hop.name === name)?.self)),
    row("wait", (summary) => summary.wait),
    row(service, (summary) => summary.service),
    row("stream", (summary) => summary.stream),
  ];
  return table(rows, "right");
}

function cells(values: Percentiles | undefined): string[] {
  return values === undefined ? ["-", "-"] : [milliseconds(values.p50_us), milliseconds(values.p95_us)];
}

function percentiles(values: readonly number[]): Percentiles | undefined {
  const p50_us = percentile(values, 50);
  const p95_us = percentile(values, 95);
  return p50_us === undefined || p95_us === undefined ? undefined : { p50_us, p95_us };
}

function sum(segments: readonly Segment[], kind: SegmentKind): number {
  return segments.reduce((total, segment) => total + (segment.kind === kind ? segment.duration_us : 0), 0);
}

/** Names in the order of the path, as far as the traces agree on one. */
function hopNames(traces: readonly Trace[]): string[] {
  return [...new Set(traces.flatMap((trace) => trace.hops.map((hop) => hop.name)))];
}

function selfTimes(traces: readonly Trace[], name: string): number[] {
  return traces.flatMap((trace) => trace.hops.filter((hop) => hop.name === name).map((hop) => hop.self_us));
}

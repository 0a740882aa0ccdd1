/**
 * The path of one request as a row of segments, from the client's clock and the hops' own accounts. What a hop calls
 * upstream contains the next hop's total; what is left between the two is the network between them.
 */

import { milliseconds } from "../output/milliseconds.js";
import { type HopTime, readReport } from "./hops.js";
import type { ServerTiming } from "./server-timing.js";

/** What the client measured, in microseconds since the call. `connect_us` is 0 on a connection that was kept. */
export interface ClientTimes {
  /** Until the connection was ready: DNS, TCP and TLS. */
  readonly connect_us: number;
  /** Until the response headers. */
  readonly headers_us: number;
  /** Until the first token of a streamed completion; absent where the response is none. */
  readonly ttft_us?: number | undefined;
  /** Until the end of the body. */
  readonly total_us: number;
}

/**
 * - `client`: DNS, TCP and TLS of the client; 0 on a kept connection.
 * - `network`: between two parties, both directions together.
 * - `hop`: a hop's own work. `wait`: the hop held the request.
 * - `service`: what answers in the end, by its own account.
 * - `upstream`: all that the last hop forwarded to, where the service gives no account: the service and the network to it.
 * - `stream`: response headers to the end of the body, as the client saw it.
 */
export type SegmentKind = "client" | "network" | "hop" | "wait" | "service" | "upstream" | "stream";

/**
 * A part of the client's time. Segments follow each other without gap or overlap in the order of the path. A party's time
 * is one segment although part of it was spent on the way back: the headers say how long, not when.
 */
export interface Segment {
  readonly kind: SegmentKind;
  readonly label: string;
  /** Nesting: 0 is the client, and each hop is inside the one before it. */
  readonly depth: number;
  readonly start_us: number;
  readonly duration_us: number;
  /** By how much the parties inside claim more than the one outside had; the segment between them is then 0. */
  readonly overlap_us?: number;
}

/** Durations of all segments together are `total_us` plus all `overlap_us`. */
export interface Trace extends ClientTimes {
  /** The hop next to the client first. */
  readonly hops: readonly HopTime[];
  readonly segments: readonly Segment[];
  /** Entries of the Server-Timing headers that have no place in the segments. */
  readonly others: readonly ServerTiming[];
  /** What a reader must know to trust the numbers, as sentences. */
  readonly notes: readonly string[];
}

/** Clock granularity and rounding on both sides. Parties that contradict each other by more are named in the notes. */
const TOLERANCE_US = 100;

/**
 * Lays a request out as segments.
 *
 * @param entries all entries of the response's Server-Timing headers
 * @param known names of the mesh's hops, in any order; without them a hop is whatever reports as one
 */
export function tracePath(entries: readonly ServerTiming[], client: ClientTimes, known?: readonly string[]): Trace {
  const { hops, service, others } = readReport(entries, known);
  const path = new Path();
  const answered_us = client.headers_us - client.connect_us;

  path.add("client", "client (connect)", 0, client.connect_us);
  let outer = { name: "the client", behind_us: answered_us };
  hops.forEach((hop, index) => {
    path.addBetween("network", "network", index + 1, outer.behind_us, hop.total_us, [outer.name, hop.name]);
    const accounted_us = hop.wait_us + hop.upstream_us;
    path.addBetween("hop", hop.name, index + 1, hop.total_us, accounted_us, [hop.name, "what it held and forwarded"]);
    if (hop.wait_us > 0) path.add("wait", "wait", index + 2, hop.wait_us);
    outer = { name: hop.name, behind_us: hop.upstream_us };
  });

  const depth = hops.length + 1;
  if (service !== undefined) {
    const names = [outer.name, service.name] as const;
    path.addBetween("network", "network", depth, outer.behind_us, service.duration_us, names);
    path.add("service", `service (${service.name})`, depth, service.duration_us);
  } else if (outer.behind_us > 0) {
    // A hop that answers by itself forwards nothing, and nothing is behind it.
    path.add("upstream", "service + network", depth, outer.behind_us);
  }
  path.addBetween("stream", "stream", 0, client.total_us, client.headers_us, ["the client", "the response headers"]);

  if (hops.length === 0) path.notes.push("no hop reported its time: the response has no Server-Timing of a hop");
  const { connect_us, headers_us, ttft_us, total_us } = client;
  return { connect_us, headers_us, ttft_us, total_us, hops, segments: path.segments, others, notes: path.notes };
}

/** Segments put end to end. */
class Path {
  readonly segments: Segment[] = [];
  readonly notes: string[] = [];
  private at_us = 0;

  add(kind: SegmentKind, label: string, depth: number, duration_us: number, overlap_us = 0): void {
    const overlap = overlap_us > 0 ? { overlap_us } : {};
    this.segments.push({ kind, label, depth, start_us: this.at_us, duration_us, ...overlap });
    this.at_us += duration_us;
  }

  /** Adds what `outer_us` has beyond `inner_us`; `names` are those of the parties that said so. */
  addBetween(
    kind: SegmentKind,
    label: string,
    depth: number,
    outer_us: number,
    inner_us: number,
    names: readonly [outer: string, inner: string],
  ): void {
    const overlap_us = Math.max(0, inner_us - outer_us);
    this.add(kind, label, depth, Math.max(0, outer_us - inner_us), overlap_us);
    if (overlap_us <= TOLERANCE_US) return;
    const [outer, inner] = names;
    const had = `${outer} had ${milliseconds(outer_us)} ms for ${inner}, which took ${milliseconds(inner_us)} ms`;
    this.notes.push(`${had}: the two contradict each other by ${milliseconds(overlap_us)} ms`);
  }
}

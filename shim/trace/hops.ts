/**
 * What the hops of a path say about themselves, read from the entries of a response's Server-Timing headers.
 *
 * Every hop writes a group, `HOP;dur=12.402, HOP-upstream;dur=12.050` and, if it held the request, `HOP-wait;dur=0.310`
 * (milliseconds), behind the groups of the hops after it; those stand behind the service's own entries:
 *
 *     app;dur=9.1,  agents;dur=10.2, agents-upstream;dur=9.9,  ingress;dur=11, ingress-upstream;dur=10.8
 *     the service   the last hop                               the first hop
 */

import type { ServerTiming } from "./server-timing.js";

/** One hop's own account, in microseconds. */
export interface HopTime {
  readonly name: string;
  /** Request headers in to response headers out. */
  readonly total_us: number;
  /** `total - wait - upstream`, not below 0. */
  readonly self_us: number;
  /** Held by the filter: the fetch of a token. */
  readonly wait_us: number;
  /** Forwarded to first response header: everything behind the hop. */
  readonly upstream_us: number;
}

export interface Report {
  /** In the order in which the request passed them: the hop next to the client first. */
  readonly hops: readonly HopTime[];
  /** The service's own time, where it can be told. */
  readonly service: { readonly name: string; readonly duration_us: number } | undefined;
  /** What is neither of a hop nor the service's time, in the order of the headers. */
  readonly others: readonly ServerTiming[];
}

/**
 * Sorts the entries into hops, service and others.
 *
 * Hop names may themselves end in `-upstream` or `-wait`, so a name alone decides nothing; the groups do. Read from the
 * end they are unambiguous: a last entry `X-wait` closes the group X, X-upstream, X-wait, a last entry `X-upstream` the
 * group X, X-upstream. Only a service whose own entries look like a group could pass for a hop: `known`, the names of the
 * mesh's hops in any order, rules that out.
 */
export function readReport(entries: readonly ServerTiming[], known?: readonly string[]): Report {
  const hops: HopTime[] = [];
  const rest: ServerTiming[] = [];
  let own = 0;
  for (let end = entries.length; end > 0;) {
    const group = groupEndingAt(entries, end);
    if (group !== undefined && (known?.includes(group.hop.name) ?? true)) {
      hops.push(group.hop);
      end -= group.length;
      own = rest.length;
      continue;
    }
    end -= 1;
    const entry = entries[end];
    if (entry !== undefined) rest.push(entry);
  }
  // `rest` runs backwards; its tail since the last group stands before all hops and is the service's.
  const service = serviceTime(rest.slice(own));
  return {
    hops,
    service: service && { name: service.name, duration_us: microseconds(service) ?? 0 },
    others: rest.filter((entry) => entry !== service).reverse(),
  };
}

function groupEndingAt(entries: readonly ServerTiming[], end: number): { hop: HopTime; length: number } | undefined {
  const last = entries[end - 1];
  if (last === undefined) return undefined;
  if (last.name.endsWith("-wait")) {
    const name = last.name.slice(0, -"-wait".length);
    return group(name, entries[end - 3], entries[end - 2], last);
  }
  if (last.name.endsWith("-upstream")) {
    const name = last.name.slice(0, -"-upstream".length);
    return group(name, entries[end - 2], last, undefined);
  }
  return undefined;
}

function group(
  name: string,
  total: ServerTiming | undefined,
  upstream: ServerTiming | undefined,
  wait: ServerTiming | undefined,
): { hop: HopTime; length: number } | undefined {
  if (total?.name !== name || upstream?.name !== `${name}-upstream`) return undefined;
  const total_us = microseconds(total);
  const upstream_us = microseconds(upstream);
  const wait_us = wait === undefined ? 0 : microseconds(wait);
  if (total_us === undefined || upstream_us === undefined || wait_us === undefined) return undefined;
  const self_us = Math.max(0, total_us - wait_us - upstream_us);
  return { hop: { name, total_us, self_us, wait_us, upstream_us }, length: wait === undefined ? 2 : 3 };
}

/**
 * The entry that is the service's whole time: the only one with a duration, or the one named `total`. Of several others
 * none can be told to be the whole, nor whether they follow or contain each other.
 */
function serviceTime(own: readonly ServerTiming[]): ServerTiming | undefined {
  const timed = own.filter((entry) => microseconds(entry) !== undefined);
  return timed.length === 1 ? timed[0] : timed.find((entry) => entry.name.toLowerCase() === "total");
}

/** A year: whoever reports more does not report a time. Keeps every sum exact. */
const LONGEST_MS = 365 * 24 * 3600 * 1000;

function microseconds(entry: ServerTiming): number | undefined {
  const { duration } = entry;
  return duration !== undefined && duration >= 0 && duration <= LONGEST_MS ? Math.round(duration * 1000) : undefined;
}

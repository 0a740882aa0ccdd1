import fc from "fast-check";
import type { ClientTimes } from "../../../shim/trace/path.js";
import type { ServerTiming } from "../../../shim/trace/server-timing.js";

/** A hop as the filter accounts for it, in microseconds. */
export interface HopAccount {
  readonly name: string;
  readonly total_us: number;
  readonly upstream_us: number;
  readonly wait_us: number;
}

/** The entries that the filter of a hop writes. */
export function entriesOf(hop: HopAccount): ServerTiming[] {
  const entry = (name: string, duration_us: number): ServerTiming => ({ name, duration: duration_us / 1000 });
  return [
    entry(hop.name, hop.total_us),
    entry(`${hop.name}-upstream`, hop.upstream_us),
    ...(hop.wait_us > 0 ? [entry(`${hop.name}-wait`, hop.wait_us)] : []),
  ];
}

/** From nothing to minutes, with as much weight on the small. */
export const duration_us = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 0, max: 100_000 }),
  fc.integer({ min: 0, max: 600_000_000 }),
);

/** Names that contain the suffixes of the entries, to be mistaken for each other if they can be. */
export const hopName = fc.oneof(
  fc.stringMatching(/^[a-z0-9-]{1,63}$/),
  fc
    .array(fc.constantFrom("a", "b", "-upstream", "-wait"), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join("")),
);

export const hopAccount: fc.Arbitrary<HopAccount> = fc
  .record({ name: hopName, self_us: duration_us, upstream_us: duration_us, wait_us: duration_us })
  .map(({ name, self_us, upstream_us, wait_us }) => ({
    name,
    upstream_us,
    wait_us,
    total_us: self_us + upstream_us + wait_us,
  }));

/** What a client can measure: each time is after the one before it. */
export const clientTimes: fc.Arbitrary<ClientTimes> = fc
  .record({ connect: duration_us, answer: duration_us, token: fc.option(duration_us), rest: duration_us })
  .map(({ connect, answer, token, rest }) => ({
    connect_us: connect,
    headers_us: connect + answer,
    ttft_us: token === null ? undefined : connect + answer + token,
    total_us: connect + answer + (token ?? 0) + rest,
  }));

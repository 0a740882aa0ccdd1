/** What the filter of one hop does to one request. */

import type { Headers, Pair } from "../emulator/pairs.js";
import type { Stream } from "../emulator/stream.js";
import type { ReadyFilter } from "./filter.js";

export interface FilterAnswer {
  /** It chose a backend; found no route and passed the request on; left a bypassed path alone; answered by itself. */
  readonly outcome: "routed" | "passed" | "bypassed" | "answered";
  readonly backend: string | null;
  /** The ID token that it put on the request: for whom, and in which header. */
  readonly token: { readonly audience: string; readonly header: string } | null;
  /** Names of the headers of which what came does not go on. */
  readonly removed: readonly string[];
  /** Headers that the filter wrote, the token's aside. */
  readonly set: Headers;
  /** The request as it goes on; null where it does not. */
  readonly forwarded: Headers | null;
  readonly reply: FilterReply | null;
}

/** An answer of the filter's own. */
export interface FilterReply {
  readonly status: number;
  /** The stable code, such as `route_unmatched`. */
  readonly code: string | null;
  readonly detail: string | null;
}

/** Headers that the filter writes over what came. */
const WRITTEN: ReadonlySet<string> = new Set(["x-hopgate-backend", "x-hopgate-caller", "x-hopgate-path"]);

/** Sends a request through the filter. `properties` are the stream's, such as `xds.filter_chain_name`. */
export function askFilter(
  { proxy, tokens }: ReadyFilter,
  headers: Headers,
  properties: Readonly<Record<string, string>>,
): FilterAnswer {
  const stream = proxy.stream({ headers, properties });
  const forwarded = stream.requestHeaders?.map(([name, value]) => [name, value] as const);
  if (forwarded === undefined) return refused(stream);
  stream.respond([[":status", "200"]]);
  // What is bypassed is not counted, and everything else is.
  const isCounted = Object.keys(proxy.metrics().counters).some((name) => name.startsWith("hopgate_requests."));
  const backend = valueOf(forwarded, "x-hopgate-backend");
  const carrier = forwarded.find(([, value]) => tokens.has(value));
  const names = new Set(headers.map(([name]) => name));
  const others = forwarded.filter((pair) => pair !== carrier);
  // Within, for Envoy joins repeated headers and a hop adds its name to those in front.
  const isKept = ([name, value]: Pair): boolean => others.some(([key, now]) => key === name && now.includes(value));
  return {
    outcome: isCounted ? (backend === null ? "passed" : "routed") : "bypassed",
    backend,
    token: carrier === undefined ? null : { header: carrier[0], audience: tokens.get(carrier[1]) ?? "" },
    removed: [...new Set(headers.filter((pair) => !isKept(pair)).map(([name]) => name))],
    // What the caller sent stays out, for Envoy joins repeated headers to values that are new and may hold credentials.
    set: others.filter(([name]) => !names.has(name) || WRITTEN.has(name)),
    forwarded,
    reply: null,
  };
}

function refused({ localReply, paused }: Stream): FilterAnswer {
  if (localReply === undefined)
    throw new Error(`the filter neither forwards the request nor answers it (${paused ? "paused" : "stopped"})`);
  const reply = {
    status: localReply.status,
    code: valueOf(localReply.headers, "x-hopgate-error"),
    detail: detailOf(localReply.body),
  };
  return { outcome: "answered", backend: null, token: null, removed: [], set: [], forwarded: null, reply };
}

/** The `detail` of a problem (RFC 9457). */
function detailOf(body: Buffer): string | null {
  try {
    const { detail } = JSON.parse(body.toString("utf8")) as { detail?: unknown };
    return typeof detail === "string" ? detail : null;
  } catch {
    return null;
  }
}

function valueOf(headers: Headers, name: string): string | null {
  return headers.find(([key]) => key === name)?.[1] ?? null;
}

/** The whole way of a request through a mesh: from the hop where it comes in to the backend, or to whoever answers it. */

import { closest } from "../config/closest.js";
import type { Backend, Hop, Mesh, Validator } from "../config/model.js";
import type { Pair } from "../emulator/pairs.js";
import { UsageError } from "../errors.js";
import { shownUrl } from "../output/text.js";
import { serviceOf } from "../render/envoy/names.js";
import type { FilterReply } from "./answer.js";
import { assumedHeaders } from "./assumed.js";
import { type Arrival, explainHop, type HopExplanation } from "./hop.js";
import { hostOfAuthority, nearestPattern } from "./host-match.js";
import { parseUrl } from "./url.js";

export interface AskedRequest {
  readonly method: string;
  /** `http:` or `https:`. */
  readonly url: string;
  /** Names in lower case. `host` takes the place of the URL's host. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** The names are those of `explain -o json`; null where there is none. */
export interface Explanation {
  readonly method: string;
  /** Without query and userinfo. */
  readonly url: string;
  /** What answers in the end; null where no hop chose one, or where a hop answers by itself. */
  readonly backend: string | null;
  /** What the answer goes by where callers are checked; null where they are not. */
  readonly caller: CheckedCaller | null;
  /** Of the hop that adds the ID token. */
  readonly token: { readonly hop: string; readonly audience: string; readonly header: string } | null;
  readonly reply: (FilterReply & { readonly hop: string }) | null;
  /** In the order in which the request passes them. */
  readonly hops: readonly HopExplanation[];
}

interface CheckedCaller {
  /**
   * `given`: what the request has, judged as if its signature held, since to check that takes the issuer's keys. `assumed`: it has
   * nothing, so this is the answer to a token that satisfies everybody who checks.
   */
  readonly token: "given" | "assumed";
  /** The answer to a caller without a token, where one is assumed. */
  readonly without_token: (FilterReply & { readonly hop: string }) | null;
}

/**
 * Follows a request from hop to hop. `module` is the compiled filter.
 *
 * Throws UsageError if the URL is none, there is no such hop, the hop is a waypoint that does not serve the URL's
 * host, or the filter refuses what the mesh gives to one of the hops.
 */
export async function explainRequest(
  module: Uint8Array,
  mesh: Mesh,
  request: AskedRequest,
  hopName?: string,
): Promise<Explanation> {
  const url = parseUrl(request.url);
  const host = hostOfAuthority(url.host);
  const first = firstHop(mesh, host, hopName);
  const service = first.kind === "waypoint" ? serviceOf(boundBackend(mesh, first, host)) : undefined;
  const arrival = { headers: headersOf(url, request), service };
  const follow: Follow = (more) =>
    followRequest(module, mesh, first, { ...arrival, headers: [...arrival.headers, ...more] });
  const asGiven = await follow([]);
  const withToken = await withAssumedToken(mesh, arrival.headers, asGiven, follow);
  const hops = withToken ?? asGiven;
  const isChecked = hops.some(({ validators }) => validators.length > 0);
  return {
    method: request.method,
    url: shownUrl(request.url),
    backend: hops.at(-1)?.backend ?? null,
    caller: !isChecked
      ? null
      : withToken === undefined
        ? { token: "given", without_token: null }
        : { token: "assumed", without_token: replyIn(asGiven) },
    token: firstOf(hops, ({ hop, token }) => (token === null ? null : { hop, ...token })),
    reply: replyIn(hops),
    hops,
  };
}

/** Sends the request on its way once more, with some headers more. */
type Follow = (more: readonly Pair[]) => Promise<readonly HopExplanation[]>;

async function followRequest(
  module: Uint8Array,
  mesh: Mesh,
  first: Hop,
  arrival: Arrival,
): Promise<readonly HopExplanation[]> {
  const hops: HopExplanation[] = [];
  let step: { readonly hop: Hop; readonly arrival: Arrival } | undefined = { hop: first, arrival };
  // `through` names one waypoint, and what is behind a waypoint is the backend: no way has more than two hops.
  while (step !== undefined) {
    const { explanation, next } = await explainHop(module, mesh, step.hop, step.arrival);
    hops.push(explanation);
    step = next;
  }
  return hops;
}

/**
 * The way of the same request with a token that everybody who checks accepts; undefined where it needs none, or has a credential of
 * its own. What is behind a hop that refuses is not seen until that hop is satisfied: hence the loop.
 */
async function withAssumedToken(
  mesh: Mesh,
  headers: Arrival["headers"],
  asGiven: readonly HopExplanation[],
  follow: Follow,
): Promise<readonly HopExplanation[] | undefined> {
  let hops = asGiven;
  let known = 0;
  while (replyIn(hops)?.code === "token_missing") {
    const validators = hops.flatMap((hop) => hop.validators.flatMap(({ name }) => mesh.validators.get(name) ?? []));
    if (validators.length === known || hasCredential(headers, validators)) break;
    known = validators.length;
    hops = await follow(assumedHeaders(validators));
  }
  return known === 0 ? undefined : hops;
}

/** Whether the request has anything where one of `validators` looks. */
function hasCredential(headers: Arrival["headers"], validators: readonly Validator[]): boolean {
  const places = validators.flatMap(({ header }) => header ?? ["authorization", "x-serverless-authorization"]);
  return headers.some(([name]) => places.includes(name));
}

function replyIn(hops: readonly HopExplanation[]): Explanation["reply"] {
  return firstOf(hops, ({ hop, reply }) => (reply === null ? null : { hop, ...reply }));
}

function firstOf<T>(hops: readonly HopExplanation[], part: (hop: HopExplanation) => T | null): T | null {
  for (const hop of hops) {
    const found = part(hop);
    if (found !== null) return found;
  }
  return null;
}

/** The named hop; else where requests from outside come in: an edge, a gateway, or the waypoint that serves the host. */
function firstHop(mesh: Mesh, host: string, name: string | undefined): Hop {
  const hops = [...mesh.hops.values()];
  if (name === undefined) {
    const gateways = hops.filter(({ kind }) => kind === "gateway");
    const bound = [...mesh.backends.values()].find(
      (backend) => backend.through !== undefined && serviceOf(backend).host === host,
    );
    const hop = gateways.find(({ edge }) => edge) ?? gateways[0] ?? mesh.hops.get(bound?.through ?? "") ?? hops[0];
    if (hop === undefined) throw new UsageError(`${mesh.name} has no hop.`, "Add a gateway or a waypoint under hops.");
    return hop;
  }
  const hop = mesh.hops.get(name);
  if (hop !== undefined) return hop;
  const meant = closest(name, mesh.hops.keys());
  const fix = meant === undefined ? `Name one of ${[...mesh.hops.keys()].join(", ")}.` : `Did you mean ${meant}?`;
  throw new UsageError(`${mesh.name} has no hop ${JSON.stringify(name)}.`, fix);
}

/** A waypoint has a filter chain for each service that is bound to it, and closes the connection for any other. */
function boundBackend(mesh: Mesh, waypoint: Hop, host: string): Backend {
  const bound = [...mesh.backends.values()].filter(({ through }) => through === waypoint.name);
  const found = bound.find((backend) => serviceOf(backend).host === host);
  if (found !== undefined) return found;
  const hosts = bound.map((backend) => serviceOf(backend).host);
  const nearest = nearestPattern(host, hosts);
  const fix =
    hosts.length === 0
      ? `No backend of ${mesh.name} is through ${waypoint.name}.`
      : `Write the URL of a service that is bound to it: ${nearest ?? hosts.join(", ")}.`;
  throw new UsageError(`The waypoint ${waypoint.name} serves no service ${JSON.stringify(host)}.`, fix);
}

function headersOf(url: URL, { method, headers }: AskedRequest): Arrival["headers"] {
  const authority = headers.find(([name]) => name === "host")?.[1] ?? url.host;
  const pseudo = [
    [":method", method],
    [":path", url.pathname + url.search],
    [":authority", authority],
    [":scheme", url.protocol.slice(0, -1)],
  ] as const;
  const others = headers.filter(([name]) => name !== "host");
  return [...pseudo, ...others].map(([name, value]) => [name, Buffer.from(value, "utf8").toString("latin1")] as const);
}

/** The whole way of a request through a mesh: from the hop where it comes in to the backend, or to whoever answers it. */

import { closest } from "../config/closest.js";
import type { Backend, Hop, Mesh } from "../config/model.js";
import { UsageError } from "../errors.js";
import { shownUrl } from "../output/text.js";
import { serviceOf } from "../render/envoy/names.js";
import type { FilterReply } from "./answer.js";
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
  /** Of the hop that adds the ID token. */
  readonly token: { readonly hop: string; readonly audience: string; readonly header: string } | null;
  readonly reply: (FilterReply & { readonly hop: string }) | null;
  /** In the order in which the request passes them. */
  readonly hops: readonly HopExplanation[];
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
  const first = firstHop(mesh, hostOfAuthority(url.host), hopName);
  const hops: HopExplanation[] = [];
  let backend: string | null = null;
  let step: { readonly hop: Hop; readonly arrival: Arrival } | undefined = {
    hop: first,
    arrival: {
      headers: headersOf(url, request),
      service: first.kind === "waypoint" ? serviceOf(boundBackend(mesh, first, hostOfAuthority(url.host))) : undefined,
    },
  };
  // `through` names one waypoint, and what is behind a waypoint is the backend: no way has more than two hops.
  while (step !== undefined) {
    const { explanation, next } = await explainHop(module, mesh, step.hop, step.arrival);
    hops.push(explanation);
    backend = explanation.backend;
    step = next;
  }
  return {
    method: request.method,
    url: shownUrl(request.url),
    backend,
    token: firstOf(hops, ({ hop, token }) => (token === null ? null : { hop, ...token })),
    reply: firstOf(hops, ({ hop, reply }) => (reply === null ? null : { hop, ...reply })),
    hops,
  };
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

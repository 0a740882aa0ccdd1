/** One hop's part in the way of a request, as the filter decided it and with what it went by. */

import type { Backend, Hop, Mesh } from "../config/model.js";
import type { Headers } from "../emulator/pairs.js";
import { inboundVipCluster, outboundCluster, type Service, serviceOf } from "../render/envoy/names.js";
import { backendRoute } from "../render/envoy/route.js";
import type { JsonObject } from "../render/envoy/json.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import type { PluginConfig, PluginRoute } from "../render/plugin-config.js";
import { askFilter, type FilterAnswer, type FilterReply } from "./answer.js";
import { startFilter } from "./filter.js";
import { hostOfAuthority, type HostMatch, matchHost, nearestPattern } from "./host-match.js";

/** The names are those of `explain -o json`; null where there is none. */
export interface HopExplanation {
  readonly hop: string;
  readonly kind: Hop["kind"];
  readonly edge: boolean;
  readonly outcome: FilterAnswer["outcome"];
  /** By what the route was looked for, and the pattern it was found under. `nearest`: what may have been meant. */
  readonly match: HostMatch & {
    readonly by: "authority" | "service";
    readonly name: string;
    readonly nearest: string | null;
  };
  readonly backend: string | null;
  /** Of the matched route. */
  readonly arms: readonly { readonly backend: string; readonly share_percent: number }[];
  readonly chosen_by: "only_arm" | "sticky" | "request_id" | "each_request" | null;
  /** The header that keeps a session on its arm. */
  readonly sticky: string | null;
  /** Who checks the caller. */
  readonly validators: readonly ExplainedValidator[];
  /** Why callers need not be checked here, in the words of the file. */
  readonly open: string | null;
  readonly token: FilterAnswer["token"];
  readonly no_token_because: string | null;
  readonly removed_headers: readonly string[];
  readonly set_headers: readonly { readonly name: string; readonly value: string }[];
  /** To which the rendered route leads. */
  readonly cluster: string | null;
  /** What the rendered route rewrites the authority to. */
  readonly rewritten_authority: string | null;
  readonly reply: FilterReply | null;
}

interface ExplainedValidator {
  readonly name: string;
  /** Whether the hop or the route says so. */
  readonly of: "hop" | "route";
  /** The header with the token; null: x-serverless-authorization if present, else authorization. */
  readonly header: string | null;
  readonly audiences: readonly string[];
  readonly emails: readonly string[];
}

/** A request as it arrives at a hop. Header names are in lower case, values bytes as latin1. */
export interface Arrival {
  readonly headers: Headers;
  /** The service that was called: by it Envoy chooses a waypoint's filter chain. Undefined at a gateway. */
  readonly service: Service | undefined;
}

/** The hop's part, and what arrives at the hop behind it, if there is one. */
export interface HopResult {
  readonly explanation: HopExplanation;
  readonly next: { readonly hop: Hop; readonly arrival: Arrival } | undefined;
}

/** Asks the filter of a hop. Throws UsageError if it refuses what the mesh gives to this hop. */
export async function explainHop(module: Uint8Array, mesh: Mesh, hop: Hop, arrival: Arrival): Promise<HopResult> {
  const config = pluginConfigFor(mesh, hop.name);
  const { headers, service } = arrival;
  const properties = service === undefined ? {} : { "xds.filter_chain_name": inboundVipCluster(service) };
  const answer = askFilter(await startFilter(module, config, headers), headers, properties);
  const name = service?.host ?? hostOfAuthority(headers.find(([key]) => key === ":authority")?.[1] ?? "");
  const { match, route } = routeOf(config, name, answer);
  const backend = answer.backend === null ? undefined : mesh.backends.get(answer.backend);
  const rendered = backend && renderedRoute(hop, backend);
  const explanation: HopExplanation = {
    hop: hop.name,
    kind: hop.kind,
    edge: hop.edge,
    outcome: answer.outcome,
    match: { by: service === undefined ? "authority" : "service", name, ...match },
    backend: answer.backend,
    arms: route?.to.map(({ backend: arm, weight }) => ({ backend: arm, share_percent: weight })) ?? [],
    chosen_by: route !== undefined && answer.outcome === "routed" ? chosenBy(route, headers) : null,
    sticky: route?.sticky ?? null,
    validators: answer.outcome === "bypassed" ? [] : validatorsOf(config, route),
    open: route?.open ?? null,
    token: answer.token,
    no_token_because: answer.token === null && backend !== undefined ? whyNoToken(mesh, hop, backend) : null,
    removed_headers: answer.removed,
    set_headers: answer.set.map(([header, value]) => ({ name: header, value })),
    cluster: rendered?.cluster ?? null,
    rewritten_authority: rendered?.authority ?? null,
    reply: answer.reply,
  };
  return { explanation, next: backend && nextHop(mesh, hop, backend, answer) };
}

/** The route that the filter went by. Where it took none at all, none is given, whatever the host looks like. */
function routeOf(
  config: PluginConfig,
  name: string,
  { outcome, backend }: FilterAnswer,
): { readonly match: HostMatch & { readonly nearest: string | null }; readonly route: PluginRoute | undefined } {
  const patterns = config.routes.flatMap(({ hosts }) => hosts);
  const match = matchHost(name, patterns);
  const route = config.routes.find(({ hosts }) => match.pattern !== null && hosts.includes(match.pattern));
  const chosen = route?.to.some((arm) => arm.backend === backend) ?? false;
  if ((outcome === "routed" && !chosen) || (outcome === "passed" && route !== undefined)) {
    throw new Error(
      `the filter takes ${name} to ${backend ?? "no backend"}, which is not what hop ${config.hop} is told`,
    );
  }
  const nearest = match.type === "none" ? nearestPattern(name, patterns) : null;
  return { match: { ...match, nearest }, route: outcome === "bypassed" ? undefined : route };
}

function chosenBy(route: PluginRoute, headers: Headers): HopExplanation["chosen_by"] {
  if (route.to.filter(({ weight }) => weight > 0).length === 1) return "only_arm";
  if (headers.some(([name]) => name === route.sticky)) return "sticky";
  // Envoy makes an id for a request that comes without one, so that each is drawn anew.
  return headers.some(([name, value]) => name === "x-request-id" && value !== "") ? "request_id" : "each_request";
}

function validatorsOf(config: PluginConfig, route: PluginRoute | undefined): HopExplanation["validators"] {
  const named = [
    [config.validate, "hop"],
    [route?.validate, "route"],
  ] as const;
  return named.flatMap(([name, of]) => {
    const validator = config.validators?.[name ?? ""];
    if (name === undefined || validator === undefined) return [];
    const { header = null, audiences, emails } = validator;
    return [{ name, of, header, audiences, emails }];
  });
}

function whyNoToken(mesh: Mesh, hop: Hop, backend: Backend): string {
  if (backend.kind === "kubernetes") return "a service of the cluster needs none";
  if (mesh.identity.mode === "off") return "identity.mode is off: hopgate adds none";
  if (backend.through !== undefined && backend.through !== hop.name)
    return `hop ${backend.through} behind this one adds it`;
  return "the filter added none";
}

/** What the route for this backend does natively, as hopgate renders it. */
function renderedRoute(
  hop: Hop,
  backend: Backend,
): { readonly cluster: string; readonly authority: string | undefined } {
  const service = serviceOf(backend);
  const cluster = hop.kind === "gateway" ? outboundCluster(service) : inboundVipCluster(service);
  const { host_rewrite_literal: authority } = backendRoute(backend, cluster, undefined).route as JsonObject;
  return { cluster, authority: typeof authority === "string" ? authority : undefined };
}

function nextHop(mesh: Mesh, hop: Hop, backend: Backend, { forwarded }: FilterAnswer): HopResult["next"] {
  const behind = backend.through === undefined ? undefined : mesh.hops.get(backend.through);
  if (behind === undefined || behind.name === hop.name || forwarded === null) return undefined;
  // The authority is rewritten by now, but a waypoint goes by the service.
  return { hop: behind, arrival: { headers: forwarded, service: serviceOf(backend) } };
}

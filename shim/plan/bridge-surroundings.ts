import { isDeepStrictEqual } from "node:util";

import type { Json, JsonObject } from "../render/envoy/json.js";
import type { Resource } from "../render/istio/resource.js";

/**
 * What is around routes and plugins, for the time in which these change: it has what the running filter needs and what the next one
 * will, and lets nobody in whom only one of the two would. It is `next` where that does for both.
 */
export function bridgeSurroundings(old: Resource, next: Resource): Resource {
  const bridge = BRIDGES[next.kind]?.(old, next) ?? next;
  return isDeepStrictEqual(bridge, next) ? next : bridge;
}

const BRIDGES: Readonly<Record<string, (old: Resource, next: Resource) => Resource>> = {
  EnvoyFilter: bridgeReferences,
  ReferenceGrant: bridgeGrant,
  AuthorizationPolicy: bridgePolicy,
  Gateway: bridgeGateway,
};

const REFERENCES = "envoyfilter.istio.io/referenced-services";

/** The clusters of the filter's own calls: without them it gets neither tokens nor keys. */
function bridgeReferences(old: Resource, next: Resource): Resource {
  const hosts = union(referencesOf(next), referencesOf(old));
  const annotations = { ...annotationsOf(next), [REFERENCES]: hosts.join(",") };
  return { ...next, metadata: { ...next.metadata, annotations } };
}

function referencesOf(resource: Resource): readonly string[] {
  const text = annotationsOf(resource)[REFERENCES];
  return typeof text === "string" ? text.split(",") : [];
}

function annotationsOf({ metadata }: Resource): JsonObject {
  return (metadata["annotations"] ?? {}) as JsonObject;
}

/** A route that may no longer lead to its service would answer with 500. */
function bridgeGrant(old: Resource, next: Resource): Resource {
  const spec = specOf(next);
  return { ...next, spec: { ...spec, to: union(listOf(spec["to"]), listOf(specOf(old)["to"])) } };
}

/** Of Istio's own: the port stays open for the hosts that go, as long as the running filter has routes for them. */
function bridgeGateway(old: Resource, next: Resource): Resource {
  const [before, ...others] = serversOf(old);
  const [after, ...more] = serversOf(next);
  if (before === undefined || after === undefined || others.length + more.length > 0) return next;
  const server = { ...after, hosts: union(listOf(after["hosts"]), listOf(before["hosts"])) };
  return { ...next, spec: { ...specOf(next), servers: [server] } };
}

function serversOf(gateway: Resource): readonly JsonObject[] {
  return listOf(specOf(gateway)["servers"]) as readonly JsonObject[];
}

interface Source extends JsonObject {
  readonly namespaces?: readonly string[];
  readonly principals?: readonly string[];
}

/**
 * For all that either is for, and only for callers whom both let in: with a new caller's first request the running filter, which may
 * not check callers itself, would lend the hop's identity. Without any, nobody is let in.
 */
function bridgePolicy(old: Resource, next: Resource): Resource {
  const [before, after] = [callersOf(old), callersOf(next)];
  const namespaces = after.namespaces.filter((name) => before.namespaces.includes(name));
  const principals = union(
    after.principals.filter((principal) => lets(before, principal)),
    before.principals.filter((principal) => lets(after, principal)),
  ).filter((principal) => !lets({ namespaces, principals: [] }, principal));
  const from = [
    ...(namespaces.length > 0 ? [{ source: { namespaces } }] : []),
    ...(principals.length > 0 ? [{ source: { principals } }] : []),
  ];
  const spec = specOf(next);
  const targetRefs = union(listOf(spec["targetRefs"]), listOf(specOf(old)["targetRefs"]));
  // An empty `from` would be anybody; no rule is nobody.
  const rules = from.length === 0 ? [] : [{ from }];
  const isSame = isDeepStrictEqual(before, after);
  return { ...next, spec: { ...spec, targetRefs, rules: isSame ? (spec["rules"] ?? rules) : rules } };
}

function callersOf(policy: Resource): Required<Pick<Source, "namespaces" | "principals">> {
  const rules = listOf(specOf(policy)["rules"]) as readonly {
    readonly from?: readonly { readonly source: Source }[];
  }[];
  const sources = rules.flatMap(({ from = [] }) => from.map(({ source }) => source));
  return {
    namespaces: sources.flatMap(({ namespaces = [] }) => namespaces),
    principals: sources.flatMap(({ principals = [] }) => principals),
  };
}

/** Whether a principal (`*` + `/ns/NAMESPACE/sa/NAME`) is among these callers, itself or with its namespace. */
function lets({ namespaces, principals }: ReturnType<typeof callersOf>, principal: string): boolean {
  return principals.includes(principal) || namespaces.includes(principal.split("/")[2] ?? "");
}

function specOf(resource: Resource): JsonObject {
  return (resource["spec"] ?? {}) as JsonObject;
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

function union<T>(first: readonly T[], second: readonly T[]): readonly T[] {
  return [...first, ...second.filter((one) => !first.some((other) => isDeepStrictEqual(one, other)))];
}

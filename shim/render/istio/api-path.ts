import type { Resource } from "./resource.js";

/** How the API server calls the kinds that we make. */
const PLURALS: Readonly<Record<string, string>> = {
  AuthorizationPolicy: "authorizationpolicies",
  DestinationRule: "destinationrules",
  EnvoyFilter: "envoyfilters",
  GCPBackend: "gcpbackends",
  Gateway: "gateways",
  HTTPRoute: "httproutes",
  ReferenceGrant: "referencegrants",
  Secret: "secrets",
  Service: "services",
  ServiceEntry: "serviceentries",
  TrafficExtension: "trafficextensions",
  VirtualService: "virtualservices",
  WasmPlugin: "wasmplugins",
};

export function pluralOf({ kind }: Pick<Resource, "kind">): string {
  const plural = PLURALS[kind];
  if (plural === undefined) throw new Error(`no plural of ${kind}`);
  return plural;
}

/** `networking.istio.io` of `networking.istio.io/v1`; empty for the core. */
export function groupOf({ apiVersion }: Pick<Resource, "apiVersion">): string {
  return apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
}

/** Where the API server has the resource. */
export function apiPath(resource: Resource): string {
  const { apiVersion, metadata } = resource;
  const root = groupOf(resource) === "" ? `/api/${apiVersion}` : `/apis/${apiVersion}`;
  return `${root}/namespaces/${metadata.namespace}/${pluralOf(resource)}/${metadata.name}`;
}

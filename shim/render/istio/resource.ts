import type { JsonObject } from "../envoy/json.js";

/** A Kubernetes resource, as it is applied. */
export interface Resource extends JsonObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
}

export interface Metadata extends JsonObject {
  readonly name: string;
  readonly namespace: string;
}

/** A reference to a Gateway of the Gateway API, as policies and routes write it. */
export function gatewayRef(name: string): JsonObject {
  return { group: "gateway.networking.k8s.io", kind: "Gateway", name };
}

/** `KIND NAMESPACE/NAME`, as messages name a resource; no two resources of a cluster have the same. */
export function titleOf({ kind, metadata, apiVersion }: Resource): string {
  // Two APIs have a Gateway.
  const group = kind === "Gateway" ? `.${apiVersion.split("/")[0] ?? ""}` : "";
  return `${kind}${group} ${metadata.namespace}/${metadata.name}`;
}

const PLUGINS: ReadonlySet<string> = new Set(["WasmPlugin", "TrafficExtension"]);
const ROUTES: ReadonlySet<string> = new Set(["VirtualService", "HTTPRoute"]);

/**
 * In which order resources are applied. What routes lead to, then the routes, then the plugin that sends requests to them;
 * removed the other way round.
 */
export type Stage = "surroundings" | "routes" | "plugin";

export function stageOf({ kind }: Resource): Stage {
  if (PLUGINS.has(kind)) return "plugin";
  return ROUTES.has(kind) ? "routes" : "surroundings";
}

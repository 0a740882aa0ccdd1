import type { EnvoyFile } from "./input.js";
import { type JsonObject, typed } from "./json.js";

/** The discovery services that a hop reads from files, and the message that each serves. */
const RESOURCES = {
  cds: "envoy.config.cluster.v3.Cluster",
  ecds: "envoy.config.core.v3.TypedExtensionConfig",
  rds: "envoy.config.route.v3.RouteConfiguration",
  lds: "envoy.config.listener.v3.Listener",
} as const;

type DiscoveryService = keyof typeof RESOURCES;

/** Tells Envoy to read `service` from its file, and again whenever another file is renamed over it. */
export function fileSource(workDir: string, service: DiscoveryService): JsonObject {
  return { path_config_source: { path: `${workDir}/${fileName(service)}` }, resource_api_version: "V3" };
}

/** The file of one discovery service: a DiscoveryResponse. */
export function resourceFile(service: DiscoveryService, resources: readonly JsonObject[]): EnvoyFile {
  return {
    name: fileName(service),
    content: { resources: resources.map((resource) => typed(RESOURCES[service], resource)) },
  };
}

function fileName(service: DiscoveryService): string {
  return `${service}.json`;
}

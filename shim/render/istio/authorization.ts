import type { Backend, Mesh, WaypointHop } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { pluginConfigFor } from "../plugin-config-for.js";
import { boundBackends, isCloudRun, routedBackends } from "./backends.js";
import { ingressService, ingressServiceOf } from "./ingress-service.js";
import { metadataOf, resourceName } from "./labels.js";
import type { Resource } from "./resource.js";

/**
 * Who may use a waypoint's identity. Whoever reaches a service there is forwarded with the waypoint's ID token, so each
 * service is open to the callers that the file names, or else to the gateways in front and to the waypoint's own namespace. None
 * is rendered where the waypoint checks the callers' tokens and the file says nothing more.
 */
export function authorizationPolicies(mesh: Mesh, hop: WaypointHop): readonly Resource[] {
  if (hop.validate !== undefined && hop.callers === undefined) return [];
  const { backends } = pluginConfigFor(mesh, hop.name);
  return boundBackends(mesh, hop)
    .filter((backend) => isCloudRun(backend) && backends[backend.name]?.token !== undefined)
    .map((backend) => ({
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: metadataOf(mesh, hop.namespace, hop, hop.name, backend.name),
      spec: {
        targetRefs: [
          { group: "networking.istio.io", kind: "ServiceEntry", name: resourceName(mesh, backend.name) },
          ...(ingressServiceOf(mesh, backend) === undefined
            ? []
            : [{ group: "", kind: "Service", name: ingressService(mesh, hop, backend).metadata.name }]),
        ],
        action: "ALLOW",
        rules: [{ from: sources(hop.callers ?? usualCallers(mesh, hop, backend)) }],
      },
    }));
}

function usualCallers(mesh: Mesh, hop: WaypointHop, backend: Backend): readonly string[] {
  const isRouted = routedBackends(mesh).includes(backend);
  const gateways = isRouted ? [...mesh.hops.values()].filter(({ kind }) => kind === "gateway") : [];
  return [...new Set([hop.namespace, ...gateways.map(({ namespace }) => namespace)])].sort();
}

function sources(callers: readonly string[]): readonly JsonObject[] {
  const namespaces = callers.filter((caller) => !caller.includes("/"));
  const accounts = callers.filter((caller) => caller.includes("/"));
  return [
    ...(namespaces.length > 0 ? [{ source: { namespaces } }] : []),
    // In any trust domain: the waypoint takes certificates of its own mesh only.
    ...(accounts.length > 0 ? [{ source: { principals: accounts.map(principal) } }] : []),
  ];
}

function principal(account: string): string {
  const [namespace = "", name = ""] = account.split("/");
  return `*/ns/${namespace}/sa/${name}`;
}

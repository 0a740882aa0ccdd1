import type { GatewayHop, Mesh, WaypointHop } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { STAT_TAGS } from "../stat-tags.js";
import { metadataOf } from "./labels.js";
import type { Resource } from "./resource.js";

/** For the Pods of a gateway: read when a proxy starts. */
export const STAT_TAGS_ANNOTATION = { "sidecar.istio.io/extraStatTags": STAT_TAGS.join(",") };

/** Opens the port of an ingress gateway for the hosts of the routes, and for no others. */
export function ingressGateway(mesh: Mesh, hop: GatewayHop): Resource {
  return hop.gateway === undefined ? istioGateway(mesh, hop) : gatewayApiGateway(hop, hop.gateway);
}

function istioGateway(mesh: Mesh, hop: GatewayHop): Resource {
  const { port, secret } = hop;
  const protocol = secret === undefined ? "HTTP" : "HTTPS";
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: metadataOf(mesh, hop.namespace, hop, hop.name),
    spec: {
      selector: hop.selector,
      servers: [
        {
          port: { number: port, name: `${protocol.toLowerCase()}-hopgate`, protocol },
          hosts: hostsOf(mesh),
          ...(secret !== undefined && {
            tls: { mode: "SIMPLE", credentialName: secret, minProtocolVersion: "TLSV1_2" },
          }),
        },
      ],
    },
  };
}

/** Its routes name the hosts. It may have listeners of others beside ours, and labels of theirs. */
function gatewayApiGateway(hop: GatewayHop, name: string): Resource {
  const { port, secret } = hop;
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name, namespace: hop.namespace },
    spec: {
      gatewayClassName: "istio",
      infrastructure: { annotations: STAT_TAGS_ANNOTATION },
      listeners: [
        {
          name: "hopgate",
          port,
          protocol: secret === undefined ? "HTTP" : "HTTPS",
          ...(secret !== undefined && {
            tls: { mode: "Terminate", certificateRefs: [{ group: "", kind: "Secret", name: secret }] },
          }),
          allowedRoutes: { namespaces: { from: "Same" } },
        },
      ],
    },
  };
}

/** The waypoint, as `istioctl waypoint apply` makes it. `namespaces` are those of the services that are bound to it. */
export function waypointGateway(hop: WaypointHop, namespaces: readonly string[]): Resource {
  const others = [...new Set(namespaces)].filter((namespace) => namespace !== hop.namespace);
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name: hop.gateway, namespace: hop.namespace },
    spec: {
      gatewayClassName: "istio-waypoint",
      infrastructure: { annotations: STAT_TAGS_ANNOTATION },
      listeners: [
        {
          name: "mesh",
          port: 15008,
          protocol: "HBONE",
          ...(others.length > 0 && { allowedRoutes: { namespaces: routesFrom([hop.namespace, ...others.sort()]) } }),
        },
      ],
    },
  };
}

function routesFrom(namespaces: readonly string[]): JsonObject {
  return {
    from: "Selector",
    selector: {
      matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: namespaces }],
    },
  };
}

/** The hosts of all routes. */
function hostsOf(mesh: Mesh): readonly string[] {
  return mesh.routes.flatMap(({ hosts }) => hosts);
}

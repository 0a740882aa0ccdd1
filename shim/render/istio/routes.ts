import type { Backend, GatewayHop, Mesh, WaypointHop } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { BACKEND_HEADER } from "../envoy/route.js";
import { serviceOf } from "../envoy/names.js";
import { boundBackends, isCloudRun, routedBackends } from "./backends.js";
import { metadataOf, resourceName } from "./labels.js";
import { gatewayRef, type Resource } from "./resource.js";

/**
 * The routes. Each matches the header in which the filter says what it chose, and nothing else: there is no catch-all, so a
 * request that no filter has seen finds no route. One resource for each backend: it keeps its name when routes come and go, and
 * what istiod makes of it grows with the arms, not with hosts times backends.
 */

/** The routes of a gateway that was installed with Istio. Istio joins those of one host. */
export function virtualServices(mesh: Mesh, hop: GatewayHop): readonly Resource[] {
  return routedBackends(mesh).map((backend) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: metadataOf(mesh, hop.namespace, hop, hop.name, backend.name),
    spec: {
      hosts: hostsTo(mesh, backend),
      gateways: [`${hop.namespace}/${resourceName(mesh, hop.name)}`],
      http: [
        {
          name: backend.name,
          match: [{ headers: { [BACKEND_HEADER]: { exact: backend.name } } }],
          ...(isCloudRun(backend) && { rewrite: { authority: backend.host } }),
          route: [{ destination: { host: serviceOf(backend).host, port: { number: serviceOf(backend).port } } }],
        },
      ],
    },
  }));
}

/** The most that an HTTPRoute takes. */
const MAX_HOSTS = 16;

/** The routes of a Gateway API gateway. */
export function gatewayHttpRoutes(mesh: Mesh, hop: GatewayHop, gateway: string): readonly Resource[] {
  return routedBackends(mesh).flatMap((backend) =>
    chunks(hostsTo(mesh, backend), MAX_HOSTS).map((hostnames, index) => {
      const part = index === 0 ? [] : [String(index + 1)];
      return {
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: metadataOf(mesh, hop.namespace, hop, hop.name, backend.name, ...part),
        spec: {
          parentRefs: [{ ...gatewayRef(gateway), sectionName: "hopgate" }],
          hostnames,
          rules: [ruleTo(backend, hop.namespace)],
        },
      };
    }),
  );
}

/** Lets the routes of a Gateway API gateway lead to services of other namespaces. */
export function referenceGrants(mesh: Mesh, hop: GatewayHop): readonly Resource[] {
  const services = new Map<string, string[]>();
  for (const backend of routedBackends(mesh)) {
    if (backend.kind !== "kubernetes" || backend.namespace === hop.namespace) continue;
    services.set(backend.namespace, [...(services.get(backend.namespace) ?? []), backend.service]);
  }
  return [...services].map(([namespace, names]) => ({
    apiVersion: "gateway.networking.k8s.io/v1beta1",
    kind: "ReferenceGrant",
    metadata: metadataOf(mesh, namespace, hop, hop.name),
    spec: {
      from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: hop.namespace }],
      to: [...new Set(names)].map((name) => ({ group: "", kind: "Service", name })),
    },
  }));
}

/** The routes of a waypoint: one for each service that is bound to it, in the service's namespace. */
export function waypointRoutes(mesh: Mesh, hop: WaypointHop): readonly Resource[] {
  return boundBackends(mesh, hop).map((backend) => {
    const namespace = backend.kind === "kubernetes" ? backend.namespace : hop.namespace;
    const service = isCloudRun(backend)
      ? { group: "networking.istio.io", kind: "ServiceEntry", name: resourceName(mesh, backend.name) }
      : { group: "", kind: "Service", name: backend.service };
    return {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: metadataOf(mesh, namespace, hop, hop.name, backend.name),
      spec: {
        parentRefs: [{ ...service, port: serviceOf(backend).port }],
        rules: [ruleTo(backend, namespace)],
      },
    };
  });
}

function ruleTo(backend: Backend, namespace: string): JsonObject {
  return {
    matches: [{ headers: [{ type: "Exact", name: BACKEND_HEADER, value: backend.name }] }],
    ...(isCloudRun(backend) && {
      filters: [{ type: "URLRewrite", urlRewrite: { hostname: backend.host } }],
    }),
    backendRefs: [backendRef(backend, namespace)],
  };
}

function backendRef(backend: Backend, namespace: string): JsonObject {
  const { host, port } = serviceOf(backend);
  if (isCloudRun(backend)) return { group: "networking.istio.io", kind: "Hostname", name: host, port };
  return {
    group: "",
    kind: "Service",
    name: backend.service,
    ...(backend.namespace !== namespace && { namespace: backend.namespace }),
    port,
  };
}

/** The hosts from which requests can get to a backend. */
function hostsTo(mesh: Mesh, { name }: Backend): readonly string[] {
  return mesh.routes.filter(({ arms }) => arms.some(({ backend }) => backend === name)).flatMap(({ hosts }) => hosts);
}

function chunks<T>(list: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}

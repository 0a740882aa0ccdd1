import type { Backend, GatewayHop, Mesh, WaypointHop } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { BACKEND_HEADER } from "../envoy/route.js";
import { type Service, serviceOf } from "../envoy/names.js";
import { boundBackends, isCloudRun, routedBackends } from "./backends.js";
import { ingressServiceOf } from "./ingress-service.js";
import { metadataOf, resourceName } from "./labels.js";
import { gatewayRef, type Resource } from "./resource.js";

/**
 * The routes. Each matches the header in which the filter says what it chose, and nothing else: there is no catch-all, so a
 * request that no filter has seen finds no route. One resource for each backend: it keeps its name when routes come and go, and
 * what istiod makes of it grows with the arms, not with hosts times backends.
 */

/**
 * The routes of a gateway that was installed with Istio. Istio joins those of one host. A Gateway's selector means Pods of all
 * namespaces, a plugin's those of its own: gateways elsewhere with the same labels, which have no filter, must not have the routes.
 */
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
          match: [{ headers: { [BACKEND_HEADER]: { exact: backend.name } }, sourceNamespace: hop.namespace }],
          ...(isCloudRun(backend) && { rewrite: { authority: backend.host } }),
          route: [destination(mesh, backend)],
        },
      ],
    },
  }));
}

function destination(mesh: Mesh, backend: Backend): JsonObject {
  const { host, port } = ingressServiceOf(mesh, backend) ?? serviceOf(backend);
  return { destination: { host, port: { number: port } } };
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
          rules: [ruleTo(backend, backendRef(ingressServiceOf(mesh, backend) ?? serviceOf(backend), hop.namespace))],
        },
      };
    }),
  );
}

/** Lets the routes of a Gateway API gateway lead to services of other namespaces. */
export function referenceGrants(mesh: Mesh, hop: GatewayHop): readonly Resource[] {
  const services = new Map<string, string[]>();
  for (const backend of routedBackends(mesh)) {
    const found = kubernetesService(ingressServiceOf(mesh, backend) ?? serviceOf(backend));
    if (found === undefined || found.namespace === hop.namespace) continue;
    services.set(found.namespace, [...(services.get(found.namespace) ?? []), found.name]);
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
    const ingress = ingressServiceOf(mesh, backend);
    return {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: metadataOf(mesh, namespace, hop, hop.name, backend.name),
      spec: {
        parentRefs: [
          { ...boundService(mesh, backend), port: serviceOf(backend).port },
          ...(ingress === undefined ? [] : [backendRef(ingress, namespace)]),
        ],
        rules: [ruleTo(backend, backendRef(serviceOf(backend), namespace))],
      },
    };
  });
}

function boundService(mesh: Mesh, backend: Backend): JsonObject {
  return isCloudRun(backend)
    ? { group: "networking.istio.io", kind: "ServiceEntry", name: resourceName(mesh, backend.name) }
    : { group: "", kind: "Service", name: backend.service };
}

function ruleTo(backend: Backend, ref: JsonObject): JsonObject {
  return {
    matches: [{ headers: [{ type: "Exact", name: BACKEND_HEADER, value: backend.name }] }],
    ...(isCloudRun(backend) && {
      filters: [{ type: "URLRewrite", urlRewrite: { hostname: backend.host } }],
    }),
    backendRefs: [ref],
  };
}

/** A reference from a route in `namespace`. */
function backendRef(service: Service, namespace: string): JsonObject {
  const found = kubernetesService(service);
  if (found === undefined) {
    return { group: "networking.istio.io", kind: "Hostname", name: service.host, port: service.port };
  }
  return {
    group: "",
    kind: "Service",
    name: found.name,
    ...(found.namespace !== namespace && { namespace: found.namespace }),
    port: service.port,
  };
}

/** undefined: it is not one of the cluster. */
function kubernetesService({ host }: Service): { readonly name: string; readonly namespace: string } | undefined {
  const [name = "", namespace = "", ...rest] = host.split(".");
  return rest.join(".") === "svc.cluster.local" ? { name, namespace } : undefined;
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

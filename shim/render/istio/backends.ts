import type { Backend, CloudRunBackend, GatewayHop, KubernetesBackend, Mesh, WaypointHop } from "../../config/model.js";
import { serviceOf } from "../envoy/names.js";
import { originateTls, originateTlsAtWaypoint } from "./destination-rule.js";
import { gcpBackend, type GcpBackendKind } from "./gcp-backend.js";
import { ingressService, ingressServiceOf } from "./ingress-service.js";
import type { Resource } from "./resource.js";
import { type ExternalHost, serviceEntry, waypointLabels } from "./service-entry.js";

/** The backends that a gateway's routes lead to, in the order of the file. */
export function routedBackends(mesh: Mesh): readonly Backend[] {
  const names = new Set(mesh.routes.flatMap(({ arms }) => arms.map(({ backend }) => backend)));
  return [...mesh.backends.values()].filter(({ name }) => names.has(name));
}

/** The backends that are bound to a waypoint, in the order of the file. */
export function boundBackends(mesh: Mesh, waypoint: WaypointHop): readonly Backend[] {
  return [...mesh.backends.values()].filter(({ through }) => through === waypoint.name);
}

/** Those whose filter refuses what has no token, or no route. */
export function refusingWaypoints(mesh: Mesh): readonly WaypointHop[] {
  return [...mesh.hops.values()].filter(
    (hop) => hop.kind === "waypoint" && (hop.validate !== undefined || hop.unmatched === "reject"),
  ) as readonly WaypointHop[];
}

/** Where a waypoint's services may be, as far as the file tells. */
export function neighbourhood(mesh: Mesh, hop: WaypointHop): readonly string[] {
  const bound = boundBackends(mesh, hop).flatMap((one) => (one.kind === "kubernetes" ? [one.namespace] : []));
  return [...new Set([hop.namespace, ...bound])];
}

export function isCloudRun(backend: Backend): backend is CloudRunBackend {
  return backend.kind === "cloudRun";
}

/** The first backend of each Cloud Run host, by which the host is named: what is made for one host is made once. */
function byHost(backends: readonly Backend[]): readonly CloudRunBackend[] {
  const first = new Map<string, CloudRunBackend>();
  for (const backend of backends.filter(isCloudRun)) if (!first.has(backend.host)) first.set(backend.host, backend);
  return [...first.values()];
}

/** Callers speak plain HTTP; the last proxy of the mesh speaks TLS. */
function external(backend: CloudRunBackend): ExternalHost {
  const { host, port } = serviceOf(backend);
  return { host, port: { number: port, protocol: "HTTP", targetPort: 443 } };
}

/** The Cloud Run hosts that a gateway itself sends requests to: known in its namespace alone, with TLS from its Pods alone. */
export function gatewayBackends(mesh: Mesh, hop: GatewayHop, kind: GcpBackendKind | undefined): readonly Resource[] {
  const direct = routedBackends(mesh).filter(({ through }) => through === undefined);
  return byHost(direct).flatMap((backend) => [
    serviceEntry(mesh, hop.namespace, backend.name, external(backend)),
    originateTls(mesh, hop, backend.name, backend.host),
    ...asGcpBackend(mesh, hop, backend, kind),
  ]);
}

function asGcpBackend(
  mesh: Mesh,
  { namespace }: GatewayHop | WaypointHop,
  backend: CloudRunBackend,
  kind: GcpBackendKind | undefined,
): readonly Resource[] {
  return kind === undefined || backend.via !== "gcpBackend" ? [] : [gcpBackend(mesh, namespace, backend, kind)];
}

/** What is bound to a waypoint: Cloud Run hosts, which leave the mesh there, and services of the cluster. */
export function waypointBackends(mesh: Mesh, hop: WaypointHop, kind: GcpBackendKind | undefined): readonly Resource[] {
  const bound = boundBackends(mesh, hop);
  return [
    ...byHost(bound).flatMap((backend) => [
      serviceEntry(mesh, hop.namespace, backend.name, { ...external(backend), waypoint: hop.gateway }),
      originateTlsAtWaypoint(mesh, hop, backend.name, backend.host),
      ...asGcpBackend(mesh, hop, backend, kind),
      ...(ingressServiceOf(mesh, backend) === undefined ? [] : [ingressService(mesh, hop, backend)]),
    ]),
    ...bound.flatMap((backend) => (backend.kind === "kubernetes" ? [serviceLabels(hop, backend)] : [])),
  ];
}

/** These labels alone: the Service is there, and has an owner whose labels are not ours to change. */
function serviceLabels(hop: WaypointHop, { service, namespace }: KubernetesBackend): Resource {
  const waypointNamespace = namespace === hop.namespace ? undefined : hop.namespace;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: service, namespace, labels: waypointLabels(hop.gateway, waypointNamespace) },
    // istioctl validate fails over a Service without.
    spec: {},
  };
}

import type { Backend, Mesh, WaypointHop } from "../../config/model.js";
import { UsageError } from "../../errors.js";
import type { Service } from "../envoy/names.js";
import { metadataOf, resourceName } from "./labels.js";
import type { Resource } from "./resource.js";
import { waypointLabels } from "./service-entry.js";

/**
 * The Service by which gateways reach a Cloud Run host that is bound to a waypoint. It has no Pods; its address is that of the
 * waypoint. Istio's gateways pass by the waypoint of a host that is found by DNS (1.31, pilot/pkg/xds/endpoints/endpoint_builder.go:
 * "We do not yet support calling waypoints for CDS"), and would speak plain HTTP to Cloud Run.
 */

/** undefined: no gateway sends requests there. @throws UsageError where its name could not be that of a Service */
export function ingressServiceOf(mesh: Mesh, { kind, name, through }: Backend): Service | undefined {
  const waypoint = through === undefined ? undefined : mesh.hops.get(through);
  const isRouted = mesh.routes.some(({ arms }) => arms.some(({ backend }) => backend === name));
  const hasGateway = [...mesh.hops.values()].some((hop) => hop.kind === "gateway");
  if (kind !== "cloudRun" || waypoint === undefined || !isRouted || !hasGateway) return undefined;
  return { host: `${serviceName(mesh, waypoint.name, name)}.${waypoint.namespace}.svc.cluster.local`, port: 80 };
}

export function ingressService(mesh: Mesh, hop: WaypointHop, backend: Backend): Resource {
  const metadata = metadataOf(mesh, hop.namespace, hop, hop.name, backend.name);
  const labels = {
    ...(metadata["labels"] as Readonly<Record<string, string>>),
    ...waypointLabels(hop.gateway, undefined),
  };
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...metadata, labels },
    spec: { ports: [{ name: "http", port: 80, protocol: "TCP", appProtocol: "http" }] },
  };
}

/** A Service's name is a label of DNS (RFC 1035), unlike that of other resources. */
function serviceName(mesh: Mesh, ...parts: readonly string[]): string {
  const name = resourceName(mesh, ...parts);
  if (/^[a-z][a-z0-9-]{0,62}$/.test(name)) return name;
  throw new UsageError(
    `the name ${JSON.stringify(name)}, made of those of the mesh, the hop and the backend, cannot be that of a Service`,
    "write a name of the mesh that begins with a letter, and names that have at most 61 characters together",
  );
}

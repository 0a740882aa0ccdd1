import type { Mesh } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { labelsOf, resourceName } from "./labels.js";
import type { Resource } from "./resource.js";

/** A host outside the mesh, as proxies are told of it. */
export interface ExternalHost {
  readonly host: string;
  readonly port: { readonly number: number; readonly protocol: "HTTP" | "HTTPS"; readonly targetPort?: number };
  /** The waypoint of the namespace through which the host is reached from everywhere; undefined: only for the namespace itself. */
  readonly waypoint?: string | undefined;
}

/** Makes `external` known in `namespace`. `part` distinguishes it in the name. */
export function serviceEntry(mesh: Mesh, namespace: string, part: string, external: ExternalHost): Resource {
  const { host, port, waypoint } = external;
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: {
      name: resourceName(mesh, part),
      namespace,
      labels: { ...labelsOf(mesh, undefined), ...(waypoint !== undefined && waypointLabels(waypoint, undefined)) },
    },
    spec: {
      hosts: [host],
      ...(waypoint === undefined && { exportTo: ["."] }),
      location: "MESH_EXTERNAL",
      resolution: "DNS",
      ports: [{ name: port.protocol.toLowerCase(), ...port }],
    },
  };
}

/** What sends a service's requests through a waypoint, those of ingress gateways too, which pass it by without. */
export function waypointLabels(waypoint: string, namespace: string | undefined): JsonObject {
  return {
    "istio.io/use-waypoint": waypoint,
    ...(namespace !== undefined && { "istio.io/use-waypoint-namespace": namespace }),
    "istio.io/ingress-use-waypoint": "true",
  };
}

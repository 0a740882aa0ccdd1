import { kubernetesHost } from "../config/host-name.js";
import type { Backend } from "../config/model.js";

/** Istio's name for the cluster of a service's port (pilot/pkg/model, BuildSubsetKey), without a subset. */
export function outboundCluster(host: string, port: number): string {
  return `outbound|${port}||${host}`;
}

/** The service of a backend as Istio knows it: in the names of clusters and of a waypoint's filter chains. */
export function serviceHost(backend: Backend): string {
  return backend.kind === "kubernetes" ? kubernetesHost(backend.service, backend.namespace) : backend.host;
}

import type { Backend, Hop } from "../../config/model.js";

/**
 * The names that istiod gives to what it derives; the filter reads some of them, operators know all of them.
 * Source: Istio 1.31, pilot/pkg/networking/core/waypoint.go, gateway.go, and model.BuildSubsetKey.
 */

export const CONNECT_TERMINATE = "connect_terminate";
export const CONNECT_ORIGINATE = "connect_originate";
export const MAIN_INTERNAL = "main_internal";

/** Istio's default trust domain: the host part of every SPIFFE identity of the mesh. */
export const TRUST_DOMAIN = "cluster.local";

/** Port of the ingress Service (in names and virtual hosts) and of the gateway's Pods behind it (in the listener's name). */
export const GATEWAY_SERVICE_PORT = 443;
export const GATEWAY_POD_PORT = 8443;

/** The service that istiod knows the backend by. */
export interface Service {
  readonly host: string;
  /** A Cloud Run service has port 80 in the mesh: callers speak plain HTTP, the last hop originates TLS. */
  readonly port: number;
}

/** Google Cloud's metadata server, which the filter asks for ID tokens. */
export const METADATA_SERVICE: Service = { host: "metadata.google.internal", port: 80 };

/** The IAM Credentials API, which the filter asks for ID tokens of another service account. */
export const IAM_CREDENTIALS_SERVICE: Service = { host: "iamcredentials.googleapis.com", port: 443 };

export function serviceOf(backend: Backend): Service {
  return backend.kind === "kubernetes"
    ? { host: `${backend.service}.${backend.namespace}.svc.cluster.local`, port: backend.port }
    : { host: backend.host, port: 80 };
}

export function outboundCluster({ host, port }: Service): string {
  return `outbound|${port}||${host}`;
}

/** Name of a waypoint's filter chain, route configuration and cluster; the filter takes the host from it. */
export function inboundVipCluster({ host, port }: Service): string {
  return `inbound-vip|${port}|http|${host}`;
}

/** ECDS resource of the WasmPlugin `hopgate` in the hop's namespace. */
export function wasmPluginResource(hop: Hop): string {
  return `extensions.istio.io/wasmplugin/${hop.namespace}.hopgate`;
}

/** SPIFFE ID of the hop's Pods: Istio runs a waypoint as the service account named like its Gateway. */
export function workloadIdentity(hop: Hop): string {
  const account = hop.kind === "waypoint" ? hop.gateway : hop.name;
  return `spiffe://${TRUST_DOMAIN}/ns/${hop.namespace}/sa/${account}`;
}

/** Istio ends the names that go into metrics with a semicolon, so that the tag regexes find where they end. */
export function statName(name: string): string {
  return `${name};`;
}

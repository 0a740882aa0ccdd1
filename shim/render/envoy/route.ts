import type { Backend, Mesh } from "../../config/model.js";
import { Failure } from "../../errors.js";
import type { Endpoint } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { GATEWAY_SERVICE_PORT, inboundVipCluster, type Service } from "./names.js";

/** The request header by which the filter tells the routes which backend it chose. */
export const BACKEND_HEADER = "x-hopgate-backend";

/**
 * The route of one backend. It matches nothing but the filter's word: a request that no filter has seen matches no
 * route, and is a 404.
 */
export function backendRoute(backend: Backend, cluster: string, endpoint: Endpoint | undefined): JsonObject {
  const authority = endpoint?.authority ?? (backend.kind === "cloudRun" ? backend.host : undefined);
  return {
    name: backend.name,
    match: {
      prefix: "/",
      headers: [{ name: BACKEND_HEADER, string_match: { exact: backend.name } }],
    },
    route: {
      cluster,
      ...(authority === undefined ? {} : { host_rewrite_literal: authority }),
      // No timeout, as Istio: a model may think for minutes.
      timeout: "0s",
      retry_policy: RETRY_POLICY,
    },
  };
}

/** Istio's default retries. A connection that failed or a stream that was refused: nothing was processed twice. */
const RETRY_POLICY: JsonObject = {
  retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
  num_retries: 2,
  retry_host_predicate: [
    extension(
      "envoy.retry_host_predicates.previous_hosts",
      "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    ),
  ],
  host_selection_retry_max_attempts: "5",
};

/** One virtual host for each host name of the file, sorted by name as istiod does. A host in none of them is a 404. */
export function gatewayRouteConfiguration(
  name: string,
  mesh: Mesh,
  routeTo: (backend: Backend) => JsonObject,
): JsonObject {
  const virtualHosts = mesh.routes.flatMap((route) => {
    const routes = route.arms.map((arm) => routeTo(backendOf(mesh, arm.backend)));
    return route.hosts.map((host) => ({
      name: `${host}:${GATEWAY_SERVICE_PORT}`,
      domains: [host],
      routes,
      include_request_attempt_count: true,
    }));
  });
  return {
    name,
    virtual_hosts: virtualHosts.sort((a, b) => (a.name < b.name ? -1 : 1)),
    validate_clusters: false,
    ignore_port_in_host_matching: true,
  };
}

/** A waypoint knows its service by address; any host name is the caller's word and matches. */
export function waypointRouteConfiguration(service: Service, routes: readonly JsonObject[]): JsonObject {
  return {
    name: inboundVipCluster(service),
    virtual_hosts: [{ name: `inbound|http|${service.port}`, domains: ["*"], routes }],
    validate_clusters: false,
  };
}

function backendOf(mesh: Mesh, name: string): Backend {
  const backend = mesh.backends.get(name);
  if (backend === undefined) throw new Failure(`A route of ${mesh.name} leads to ${name}, which is no backend of it.`);
  return backend;
}

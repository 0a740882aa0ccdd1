import { isIP } from "node:net";
import type { Endpoint } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { statName } from "./names.js";
import { originateTls } from "./tls.js";

const UINT32_MAX = 0xffff_ffff;

/** What every cluster of Istio has: its mesh-wide connect timeout, and circuit breakers that never open. */
export function clusterDefaults(name: string): JsonObject {
  const limits = {
    max_connections: UINT32_MAX,
    max_pending_requests: UINT32_MAX,
    max_requests: UINT32_MAX,
    max_retries: UINT32_MAX,
  };
  return {
    name,
    alt_stat_name: statName(name),
    connect_timeout: "10s",
    circuit_breakers: { thresholds: [{ ...limits, track_remaining: true }] },
  };
}

/**
 * A cluster of one endpoint. It has no HTTP protocol options, which is HTTP/1.1: so istiod does it for ports named
 * `http`, whatever the caller speaks.
 */
export function endpointCluster(name: string, endpoint: Endpoint): JsonObject {
  const { address, port, tls } = endpoint;
  return {
    ...clusterDefaults(name),
    ...(isIP(address) !== 0 ? { type: "STATIC" } : { type: "STRICT_DNS", dns_lookup_family: "V4_PREFERRED" }),
    load_assignment: loadAssignment(name, { address: { socket_address: { address, port_value: port } } }),
    ...(tls === undefined ? {} : { transport_socket: originateTls(tls.name, tls.caFile) }),
  };
}

/**
 * A cluster whose endpoint is a listener inside this Envoy. `id` keeps connections for different destinations apart;
 * `metadata` of the endpoint is handed to the listener by the transport socket, where that is told to.
 */
export function internalCluster(
  name: string,
  listener: string,
  options: { readonly id?: string; readonly metadata?: JsonObject } = {},
): JsonObject {
  const { id, metadata } = options;
  return {
    ...clusterDefaults(name),
    type: "STATIC",
    load_assignment: loadAssignment(
      name,
      {
        address: {
          envoy_internal_address: { server_listener_name: listener, ...(id === undefined ? {} : { endpoint_id: id }) },
        },
      },
      metadata,
    ),
    transport_socket: internalTransport(Object.keys(metadata ?? {})),
  };
}

function loadAssignment(name: string, endpoint: JsonObject, metadata?: JsonObject): JsonObject {
  const lbEndpoint = { endpoint, ...(metadata === undefined ? {} : { metadata: { filter_metadata: metadata } }) };
  return { cluster_name: name, endpoints: [{ lb_endpoints: [lbEndpoint] }] };
}

function internalTransport(passthrough: readonly string[]): JsonObject {
  return extension(
    "envoy.transport_sockets.internal_upstream",
    "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
    {
      passthrough_metadata: passthrough.map((name) => ({ kind: { host: {} }, name })),
      transport_socket: extension(
        "envoy.transport_sockets.raw_buffer",
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
      ),
    },
  );
}

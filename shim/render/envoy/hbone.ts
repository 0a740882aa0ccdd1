import { failedTunnelLog } from "./access-log.js";
import { clusterDefaults, internalCluster } from "./cluster.js";
import { httpConnectionManager, router } from "./hcm.js";
import type { WorkloadCertificate } from "./input.js";
import { extension, type JsonObject, typed } from "./json.js";
import { onLoopback } from "./loopback.js";
import { CONNECT_ORIGINATE, CONNECT_TERMINATE, MAIN_INTERNAL } from "./names.js";
import { hboneClientTls, hboneServerTls } from "./tls.js";

/**
 * HBONE, the tunnel of Istio's ambient mesh: HTTP/2 CONNECT over mutual TLS, the `:authority` of which is the
 * destination's address. As Istio 1.31 renders it (listener_waypoint.go, cluster_waypoint.go) for proxies before
 * 1.29.2, which is what an Envoy without Istio's extensions can run.
 *
 *     gateway:  cluster outbound|80||HOST -> listener connect_originate -> cluster connect_originate
 *                                                                                   | mTLS, CONNECT VIP:80
 *     waypoint:                              listener connect_terminate <-----------+
 *                                              -> cluster main_internal -> listener main_internal
 */

/**
 * Both the metadata namespace and the prefix of the filter state in which a tunnel's destination travels. The listener
 * filter of that name takes it for the connection's own address.
 */
const ORIGINAL_DST = "envoy.filters.listener.original_dst";

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** A cluster that reaches `destination` (VIP:PORT) by the waypoint at `waypoint` (IP:PORT). */
export function tunnelledCluster(name: string, destination: string, waypoint: string): JsonObject {
  return internalCluster(name, CONNECT_ORIGINATE, {
    id: waypoint,
    metadata: { [ORIGINAL_DST]: { local: destination, waypoint } },
  });
}

/** The client end: wraps each connection into a CONNECT stream. */
export function connectOriginateListener(workDir: string): JsonObject {
  return {
    name: CONNECT_ORIGINATE,
    internal_listener: {},
    use_original_dst: false,
    listener_filters: [originalDestination()],
    filter_chains: [
      {
        filters: [
          extension("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
            stat_prefix: CONNECT_ORIGINATE,
            cluster: CONNECT_ORIGINATE,
            tunneling_config: { hostname: "%DOWNSTREAM_LOCAL_ADDRESS%" },
            access_log: [failedTunnelLog(workDir)],
          }),
        ],
      },
    ],
  };
}

/**
 * Carries the CONNECT streams to the waypoint that the connection's metadata names. Istio also overrides the port
 * with 15008; here each waypoint has a port of its own.
 */
export function connectOriginateCluster(identity: WorkloadCertificate): JsonObject {
  return {
    ...clusterDefaults(CONNECT_ORIGINATE),
    type: "ORIGINAL_DST",
    lb_policy: "CLUSTER_PROVIDED",
    cleanup_interval: "60s",
    original_dst_lb_config: { metadata_key: { key: ORIGINAL_DST, path: [{ key: "waypoint" }] } },
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, {
        common_http_protocol_options: { idle_timeout: "3600s" },
        explicit_http_config: { http2_protocol_options: { allow_connect: true } },
      }),
    },
    transport_socket: hboneClientTls(identity),
  };
}

/** The server end: checks the caller's certificate, unwraps, and hands the stream on with its destination. */
export function connectTerminateListener(port: number, identity: WorkloadCertificate): JsonObject {
  return {
    name: CONNECT_TERMINATE,
    ...onLoopback(port),
    filter_chains: [
      {
        name: "default",
        transport_socket: hboneServerTls(identity),
        filters: [
          httpConnectionManager({
            stat_prefix: CONNECT_TERMINATE,
            route_config: {
              name: "default",
              virtual_hosts: [{ name: "default", domains: ["*"], routes: [connectRoute()] }],
            },
            use_remote_address: false,
            upgrade_configs: [{ upgrade_type: "CONNECT" }],
            http2_protocol_options: {
              allow_connect: true,
              max_concurrent_streams: 100,
              connection_keepalive: { interval: "10s", timeout: "20s" },
            },
            http_filters: [connectAuthority(), router()],
          }),
        ],
      },
    ],
    // Few, long connections: spread them evenly over the workers.
    connection_balance_config: { exact_balance: {} },
  };
}

export function mainInternalCluster(): JsonObject {
  return internalCluster(MAIN_INTERNAL, MAIN_INTERNAL);
}

/** Takes the destination out of the tunnel, so that the listener sees it as its own address. */
export function originalDestination(): JsonObject {
  return extension(ORIGINAL_DST, "envoy.extensions.filters.listener.original_dst.v3.OriginalDst");
}

function connectRoute(): JsonObject {
  return {
    match: { connect_matcher: {} },
    route: {
      cluster: MAIN_INTERNAL,
      upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }],
    },
  };
}

/** Istio's filter of that name: what the tunnel knows, for the connection inside it. */
function connectAuthority(): JsonObject {
  return extension("connect_authority", "envoy.extensions.filters.http.set_filter_state.v3.Config", {
    on_request_headers: [
      tunnelState(`${ORIGINAL_DST}.local_ip`, "%REQ(:AUTHORITY)%"),
      tunnelState(`${ORIGINAL_DST}.remote_ip`, "%DOWNSTREAM_REMOTE_ADDRESS%"),
      { ...tunnelState("io.istio.peer_principal", "%DOWNSTREAM_PEER_URI_SAN%"), factory_key: "envoy.string" },
      { ...tunnelState("io.istio.local_principal", "%DOWNSTREAM_LOCAL_URI_SAN%"), factory_key: "envoy.string" },
    ],
  });
}

function tunnelState(key: string, format: string): JsonObject {
  return {
    object_key: key,
    format_string: { text_format_source: { inline_string: format } },
    shared_with_upstream: "ONCE",
  };
}

import type { Backend, GatewayHop } from "../../config/model.js";
import { bootstrapFile } from "./bootstrap.js";
import { endpointCluster } from "./cluster.js";
import { fileSource, resourceFile } from "./files.js";
import { connectOriginateCluster, connectOriginateListener, tunnelledCluster } from "./hbone.js";
import { hopConnectionManager } from "./hcm.js";
import { type EnvoyFile, type GatewayInput, required } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { onLoopback } from "./loopback.js";
import { GATEWAY_POD_PORT, GATEWAY_SERVICE_PORT, outboundCluster, serviceOf, statName } from "./names.js";
import { platformClusters } from "./platform.js";
import { pluginResource } from "./plugin.js";
import { backendRoute, gatewayRouteConfiguration } from "./route.js";
import { servingTls } from "./tls.js";
import { virtualIps } from "./vips.js";

const LISTENER = `0.0.0.0_${GATEWAY_POD_PORT}`;

/**
 * An ingress gateway as istiod would configure it for a Gateway with one HTTPS server for all hosts, here on
 * 127.0.0.1. Files in the order to write them in: what is referred to first. To change a running gateway, write the
 * files that changed under another name and rename them over the old ones, in that order too.
 *
 * @throws Failure where `backends`, `platform` or `waypointPorts` lacks an entry that the mesh needs.
 */
export function renderGateway(input: GatewayInput): readonly EnvoyFile[] {
  const { hop, mesh, workDir } = input;
  const tunnels = [...mesh.backends.values()].some((backend) => backend.through !== undefined);
  const clusters = [
    ...backendClusters(input),
    ...platformClusters(mesh, input.platform),
    ...(tunnels ? [connectOriginateCluster(input.identity)] : []),
  ];
  const routes = gatewayRouteConfiguration(routeConfigurationName(hop), mesh, (backend) =>
    backendRoute(
      backend,
      outboundCluster(serviceOf(backend)),
      // What stands behind a waypoint is the waypoint's to address.
      backend.through === undefined ? input.backends.get(backend.name) : undefined,
    ),
  );
  const listeners = [httpsListener(input), ...(tunnels ? [connectOriginateListener(workDir)] : [])];
  return [
    resourceFile("cds", clusters),
    resourceFile("ecds", [pluginResource(hop, input.wasmPath, input.pluginConfig)]),
    resourceFile("rds", [routes]),
    resourceFile("lds", listeners),
    bootstrapFile(hop, workDir),
  ];
}

/** Istio names the routes of an HTTPS server after its port, the port's name and the Gateway. */
function routeConfigurationName(hop: GatewayHop): string {
  return `https.${GATEWAY_SERVICE_PORT}.https.hopgate.${hop.namespace}`;
}

/** Backends with the same service share its cluster; as in istiod the first one stands. */
function backendClusters(input: GatewayInput): readonly JsonObject[] {
  const vips = virtualIps(input.mesh);
  const clusters = new Map<string, JsonObject>();
  for (const backend of input.mesh.backends.values()) {
    const name = outboundCluster(serviceOf(backend));
    if (!clusters.has(name)) clusters.set(name, backendCluster(input, vips, backend, name));
  }
  return [...clusters.values()];
}

function backendCluster(
  input: GatewayInput,
  vips: ReadonlyMap<string, string>,
  backend: Backend,
  name: string,
): JsonObject {
  if (backend.through === undefined) {
    return endpointCluster(name, required(input.backends, backend.name, "backend"));
  }
  const { host, port } = serviceOf(backend);
  const waypointPort = required(input.waypointPorts, backend.through, "waypoint");
  return tunnelledCluster(name, `${required(vips, host, "service")}:${port}`, `127.0.0.1:${waypointPort}`);
}

function httpsListener(input: GatewayInput): JsonObject {
  const { hop, workDir } = input;
  return {
    name: LISTENER,
    ...onLoopback(input.port),
    traffic_direction: "OUTBOUND",
    listener_filters: [
      extension(
        "envoy.filters.listener.tls_inspector",
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
      ),
    ],
    filter_chains: [
      {
        transport_socket: servingTls(input.serving),
        // Against slow handshakes.
        transport_socket_connect_timeout: "15s",
        filters: [
          hopConnectionManager(hop, workDir, {
            stat_prefix: statName(`outbound_${LISTENER}`),
            rds: {
              route_config_name: routeConfigurationName(hop),
              config_source: { ...fileSource(workDir, "rds"), initial_fetch_timeout: "0s" },
            },
            use_remote_address: true,
            forward_client_cert_details: "SANITIZE_SET",
            set_current_client_cert_details: { subject: true, cert: true, dns: true, uri: true },
          }),
        ],
      },
    ],
  };
}

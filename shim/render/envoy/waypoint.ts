import type { Backend } from "../../config/model.js";
import { bootstrapFile } from "./bootstrap.js";
import { endpointCluster } from "./cluster.js";
import { resourceFile } from "./files.js";
import { connectTerminateListener, mainInternalCluster, originalDestination } from "./hbone.js";
import { hopConnectionManager } from "./hcm.js";
import { type EnvoyFile, required, type WaypointInput } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { inboundVipCluster, MAIN_INTERNAL, type Service, serviceOf, statName } from "./names.js";
import { platformClusters } from "./platform.js";
import { pluginResource } from "./plugin.js";
import { backendRoute, waypointRouteConfiguration } from "./route.js";
import { virtualIps } from "./vips.js";

/** A service and port bound to the waypoint, with the backends that stand for it: almost always one. */
interface BoundService extends Service {
  readonly vip: string;
  readonly backends: readonly [Backend, ...Backend[]];
}

/**
 * A waypoint as istiod would configure it, here on 127.0.0.1: one filter chain for each service that is bound to it
 * (backends `through` it). Files in the order to write them in, as for `renderGateway`.
 *
 * @throws Failure where `backends` or `platform` lacks an entry that the mesh needs.
 */
export function renderWaypoint(input: WaypointInput): readonly EnvoyFile[] {
  const { hop, mesh, workDir } = input;
  const services = boundServices(input);
  const clusters = [
    mainInternalCluster(),
    ...services.map((service) =>
      endpointCluster(inboundVipCluster(service), required(input.backends, service.backends[0].name, "backend")),
    ),
    ...platformClusters(mesh, input.platform),
  ];
  const listeners = [
    connectTerminateListener(input.port, input.identity),
    // Envoy refuses a listener without filter chains.
    ...(services.length === 0 ? [] : [mainInternalListener(input, services)]),
  ];
  return [
    resourceFile("cds", clusters),
    resourceFile("ecds", [pluginResource(hop, input.wasmPath, input.pluginConfig)]),
    resourceFile("lds", listeners),
    bootstrapFile(hop, workDir),
  ];
}

function boundServices({ hop, mesh }: WaypointInput): readonly BoundService[] {
  const vips = virtualIps(mesh);
  const services = new Map<string, BoundService>();
  for (const backend of mesh.backends.values()) {
    if (backend.through !== hop.name) continue;
    const service = serviceOf(backend);
    const name = inboundVipCluster(service);
    const known = services.get(name);
    services.set(
      name,
      known === undefined
        ? { ...service, vip: required(vips, service.host, "service"), backends: [backend] }
        : { ...known, backends: [...known.backends, backend] },
    );
  }
  return [...services.values()];
}

/** The address inside the tunnel chooses the chain; no header can. An address of no service closes the connection. */
function mainInternalListener(input: WaypointInput, services: readonly BoundService[]): JsonObject {
  return {
    name: MAIN_INTERNAL,
    internal_listener: {},
    traffic_direction: "INBOUND",
    listener_filters: [originalDestination()],
    filter_chain_matcher: byAddress(services),
    filter_chains: services.map((service) => serviceFilterChain(input, service)),
  };
}

function serviceFilterChain({ hop, workDir, backends }: WaypointInput, service: BoundService): JsonObject {
  const name = inboundVipCluster(service);
  const routes = service.backends.map((backend) => backendRoute(backend, name, backends.get(backend.name)));
  return {
    name,
    filters: [
      hopConnectionManager(hop, workDir, {
        stat_prefix: statName(`inbound_0.0.0.0_${service.port}`),
        route_config: waypointRouteConfiguration(service, routes),
        use_remote_address: false,
      }),
    ],
  };
}

/** Istio matches ranges of addresses; each of ours is one address. */
function byAddress(services: readonly BoundService[]): JsonObject {
  const vips = [...new Set(services.map((service) => service.vip))];
  return exactMatch(
    "DestinationIPInput",
    vips.map((vip) => [vip, { matcher: byPort(services.filter((service) => service.vip === vip)) }]),
  );
}

function byPort(services: readonly BoundService[]): JsonObject {
  return exactMatch(
    "DestinationPortInput",
    services.map((service) => [String(service.port), { action: toChain(inboundVipCluster(service)) }]),
  );
}

function exactMatch(input: string, entries: readonly (readonly [string, JsonObject])[]): JsonObject {
  return {
    matcher_tree: {
      input: extension(input, `envoy.extensions.matching.common_inputs.network.v3.${input}`),
      exact_match_map: { map: Object.fromEntries(entries) },
    },
  };
}

function toChain(name: string): JsonObject {
  return extension(name, "google.protobuf.StringValue", { value: name });
}

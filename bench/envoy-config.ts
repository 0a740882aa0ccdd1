import { extension, type JsonObject, typed } from "../shim/render/envoy/json.js";
import { audienceMetadata, JWKS_CLUSTER, METADATA_CLUSTER, routerFilter } from "./filters.js";
import type { Variant } from "./variants.js";

const LOOPBACK = "127.0.0.1";
const ADMIN = { address: socketAddress(0) };
const SERVICE = "service";
const STREAM = "stream";
const GRPC = "grpc";

/** What requests with this path get: 200 chunks, one by one. */
export const STREAM_PATH = "/stream";

/** Where the upstreams of the measured Envoy listen, on loopback. */
export interface Upstreams {
  /** Answers small requests. */
  readonly service: number;
  /** Server-sent events. */
  readonly stream: number;
  /** gRPC, over HTTP/2. */
  readonly grpc: number;
  readonly metadata: number;
  readonly jwks: number;
}

/** The service behind the measured Envoy: another Envoy that answers by itself. Its listener is `service`. */
export function serviceConfig(): JsonObject {
  const answer = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "ok" } } };
  return { admin: ADMIN, static_resources: { listeners: [listener(SERVICE, [], [answer])] } };
}

/** The measured Envoy: a listener for each variant, named by its id, all leading to the same services. */
export function subjectConfig(variants: readonly Variant[], upstreams: Upstreams): JsonObject {
  const listeners = variants.map((variant) => variantListener(variant));
  return { admin: ADMIN, static_resources: { listeners, clusters: clusters(variants, upstreams) } };
}

/**
 * An Envoy with one variant whose listener comes from the file `path` and can be changed while it runs: `listeners` is what is to be
 * in it, and answers say which generation they are of in `x-bench-generation`.
 */
export function reloadableConfig(
  variant: Variant,
  upstreams: Upstreams,
  path: string,
): { readonly bootstrap: JsonObject; readonly listeners: (generation: number) => string } {
  const resource = (generation: number): JsonObject =>
    typed("envoy.config.listener.v3.Listener", variantListener(variant, generation));
  return {
    bootstrap: {
      admin: ADMIN,
      node: { id: "bench", cluster: "bench" },
      dynamic_resources: { lds_config: { path_config_source: { path } } },
      static_resources: { clusters: clusters([variant], upstreams) },
    },
    listeners: (generation) => JSON.stringify({ version_info: String(generation), resources: [resource(generation)] }),
  };
}

function variantListener({ id, filters, audience }: Variant, generation?: number): JsonObject {
  const routes = [
    { match: { path: STREAM_PATH }, route: { cluster: STREAM } },
    { match: { prefix: "/", grpc: {} }, route: { cluster: GRPC } },
    { match: { prefix: "/" }, route: { cluster: serviceFor(audience) } },
  ];
  return listener(id, filters, routes, generation);
}

function clusters(variants: readonly Variant[], upstreams: Upstreams): readonly JsonObject[] {
  const audiences = new Set(variants.flatMap(({ audience }) => audience ?? []));
  return [
    cluster(SERVICE, upstreams.service),
    ...[...audiences].map((audience) => ({
      ...cluster(serviceFor(audience), upstreams.service),
      metadata: audienceMetadata(audience),
    })),
    cluster(STREAM, upstreams.stream),
    { ...cluster(GRPC, upstreams.grpc), ...HTTP2 },
    cluster(METADATA_CLUSTER, upstreams.metadata),
    cluster(JWKS_CLUSTER, upstreams.jwks),
  ];
}

function serviceFor(audience: string | undefined): string {
  return audience === undefined ? SERVICE : `${SERVICE} for ${audience}`;
}

const PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

const HTTP2: JsonObject = {
  typed_extension_protocol_options: {
    [PROTOCOL_OPTIONS]: typed(PROTOCOL_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
  },
};

function listener(
  name: string,
  filters: readonly JsonObject[],
  routes: readonly JsonObject[],
  generation?: number,
): JsonObject {
  const header = { key: "x-bench-generation", value: String(generation) };
  const told = generation === undefined ? {} : { response_headers_to_add: [{ header }] };
  const manager = extension(
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      stat_prefix: name,
      route_config: { ...told, virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
      http_filters: [...filters, routerFilter()],
    },
  );
  // As many connections for each worker: of few, chance would give one worker most, for as long as they are kept.
  const connection_balance_config = { exact_balance: {} };
  return { name, address: socketAddress(0), connection_balance_config, filter_chains: [{ filters: [manager] }] };
}

function cluster(name: string, port: number): JsonObject {
  const endpoint = { endpoint: { address: socketAddress(port) } };
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}

function socketAddress(port: number): JsonObject {
  return { socket_address: { address: LOOPBACK, port_value: port } };
}

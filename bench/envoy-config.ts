import { METADATA_CLUSTER, type Variant } from "./variants.js";

type Json = Readonly<Record<string, unknown>>;

const LOOPBACK = "127.0.0.1";
const ADMIN = { address: socketAddress(0) };

/** The service behind the measured Envoy: another Envoy that answers by itself. Its listener is `service`. */
export function serviceConfig(): Json {
  const answer = { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "ok" } } };
  return { admin: ADMIN, static_resources: { listeners: [listener("service", [], [answer])] } };
}

/** The measured Envoy: a listener for each variant, named by its index, all leading to the same service. */
export function subjectConfig(variants: readonly Variant[], servicePort: number, metadataPort: number): Json {
  const route = { match: { prefix: "/" }, route: { cluster: "service" } };
  const listeners = variants.map(({ plugin }, index) => {
    const filters = plugin === undefined ? [] : [wasm(plugin.wasmPath, plugin.configuration)];
    return listener(String(index), filters, [route]);
  });
  const clusters = [cluster("service", servicePort), cluster(METADATA_CLUSTER, metadataPort)];
  return { admin: ADMIN, static_resources: { listeners, clusters } };
}

function listener(name: string, filters: readonly Json[], routes: readonly Json[]): Json {
  const manager = extension(
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      stat_prefix: name,
      route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
      http_filters: [
        ...filters,
        extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", {}),
      ],
    },
  );
  return { name, address: socketAddress(0), filter_chains: [{ filters: [manager] }] };
}

function wasm(filename: string, configuration: string): Json {
  return extension("hopgate", "envoy.extensions.filters.http.wasm.v3.Wasm", {
    config: {
      vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: { filename } } },
      configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration },
    },
  });
}

function cluster(name: string, port: number): Json {
  const endpoint = { endpoint: { address: socketAddress(port) } };
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}

function extension(name: string, type: string, fields: Json): Json {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...fields } };
}

function socketAddress(port: number): Json {
  return { socket_address: { address: LOOPBACK, port_value: port } };
}

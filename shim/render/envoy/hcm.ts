import type { Hop } from "../../config/model.js";
import { httpAccessLog } from "./access-log.js";
import { fileSource } from "./files.js";
import { extension, type JsonObject } from "./json.js";
import { wasmPluginResource } from "./names.js";

const HTTP_CONNECTION_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/** What Istio sets in all its HTTP connection managers. */
export function httpConnectionManager(fields: JsonObject): JsonObject {
  return extension("envoy.filters.network.http_connection_manager", HTTP_CONNECTION_MANAGER, {
    server_name: "istio-envoy",
    // No timeout: a stream of tokens may pause as long as the model does.
    stream_idle_timeout: "0s",
    ...fields,
  });
}

/**
 * The connection manager that runs the filter (buildHTTPConnectionManager). Istio's telemetry, CORS and fault filters
 * are left out: nothing here configures them.
 */
export function hopConnectionManager(hop: Hop, workDir: string, fields: JsonObject): JsonObject {
  return httpConnectionManager({
    normalize_path: true,
    path_with_escaped_slashes_action: "KEEP_UNCHANGED",
    upgrade_configs: [{ upgrade_type: "websocket" }],
    http_filters: [wasmFilter(hop, workDir), router()],
    access_log: [httpAccessLog(workDir)],
    ...fields,
  });
}

export function router(): JsonObject {
  return extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");
}

/** As Istio, the filter comes by ECDS: a new configuration reaches it without closing a connection. */
function wasmFilter(hop: Hop, workDir: string): JsonObject {
  return {
    name: wasmPluginResource(hop),
    config_discovery: {
      config_source: { ...fileSource(workDir, "ecds"), initial_fetch_timeout: "0s" },
      type_urls: [`type.googleapis.com/${WASM}`],
    },
  };
}

const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";

/** The WasmPlugin as istiod sends it: `pluginConfig` as a StringValue, root and VM without a name. */
export function wasmPlugin(hop: Hop, wasmPath: string, pluginConfig: string): JsonObject {
  return extension(wasmPluginResource(hop), WASM, {
    config: {
      name: `${hop.namespace}.hopgate`,
      root_id: "",
      failure_policy: "FAIL_RELOAD",
      configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: pluginConfig },
      vm_config: { vm_id: "", runtime: "envoy.wasm.runtime.v8", code: { local: { filename: wasmPath } } },
    },
  });
}

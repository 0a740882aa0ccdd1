import type { Hop } from "../../config/model.js";
import { httpAccessLog } from "./access-log.js";
import { extension, type JsonObject } from "./json.js";
import { pluginFilter } from "./plugin.js";

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
    http_filters: [pluginFilter(hop, workDir), router()],
    access_log: [httpAccessLog(workDir)],
    ...fields,
  });
}

export function router(): JsonObject {
  return extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");
}

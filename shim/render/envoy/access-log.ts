import { extension, type JsonObject } from "./json.js";

/** Name of the access log in the hop's folder, one JSON object a line. */
const ACCESS_LOG_FILE = "access.log";

/**
 * Fields of Istio's default access log, with units in their names. Left out is what could carry a token: no header of
 * the caller's but the request id, and the path without its query.
 */
const HTTP_FIELDS: JsonObject = {
  start_time: "%START_TIME%",
  method: "%REQ(:METHOD)%",
  authority: "%REQ(:AUTHORITY)%",
  path: "%PATH(NQ)%",
  protocol: "%PROTOCOL%",
  request_id: "%REQ(X-REQUEST-ID)%",
  route_name: "%ROUTE_NAME%",
  filter_chain: "%FILTER_CHAIN_NAME%",
  response_code: "%RESPONSE_CODE%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  response_flags: "%RESPONSE_FLAGS%",
  hopgate_error: "%FILTER_STATE(wasm.hopgate_error:PLAIN)%",
  duration_ms: "%DURATION%",
  upstream_service_time_ms: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  received_bytes: "%BYTES_RECEIVED%",
  sent_bytes: "%BYTES_SENT%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

const TUNNEL_FIELDS: JsonObject = {
  start_time: "%START_TIME%",
  tunnel_to: "%DOWNSTREAM_LOCAL_ADDRESS%",
  response_flags: "%RESPONSE_FLAGS%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

export function httpAccessLog(workDir: string): JsonObject {
  return fileLog(workDir, HTTP_FIELDS);
}

/** Tunnels that could not be opened; the reason (a refused certificate) is seen nowhere else. */
export function failedTunnelLog(workDir: string): JsonObject {
  return { ...fileLog(workDir, TUNNEL_FIELDS), filter: { response_flag_filter: { flags: ["UF"] } } };
}

function fileLog(workDir: string, fields: JsonObject): JsonObject {
  return extension("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", {
    path: `${workDir}/${ACCESS_LOG_FILE}`,
    log_format: { json_format: fields },
  });
}

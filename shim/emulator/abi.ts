/**
 * The numbers of the proxy-wasm ABI 0.2.1, as the C++ host has them (include/proxy-wasm/wasm_vm.h,
 * word.h and the specification's abi-versions/v0.2.1).
 */

/** What a host function returns. */
export const Status = {
  Ok: 0,
  NotFound: 1,
  BadArgument: 2,
  SerializationFailure: 3,
  InvalidMemoryAccess: 6,
  CasMismatch: 8,
  InternalFailure: 10,
  BrokenConnection: 11,
  Unimplemented: 12,
} as const;

export const MapType = {
  RequestHeaders: 0,
  RequestTrailers: 1,
  ResponseHeaders: 2,
  ResponseTrailers: 3,
  GrpcReceiveInitialMetadata: 4,
  GrpcReceiveTrailingMetadata: 5,
  HttpCallResponseHeaders: 6,
  HttpCallResponseTrailers: 7,
} as const;
export const MAX_MAP_TYPE = 7;

export const BufferType = {
  HttpRequestBody: 0,
  HttpResponseBody: 1,
  HttpCallResponseBody: 4,
  VmConfiguration: 6,
  PluginConfiguration: 7,
} as const;
export const MAX_BUFFER_TYPE = 8;

export const StreamType = { Request: 0, Response: 1, Downstream: 2, Upstream: 3 } as const;
export const MAX_STREAM_TYPE = 3;

export const MetricType = { Counter: 0, Gauge: 1, Histogram: 2 } as const;
export const MAX_METRIC_TYPE = 2;

/** Answers of proxy_on_request_body and proxy_on_response_body that the driver tells apart. */
export const DataAction = { Continue: 0, StopAndBuffer: 1 } as const;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "critical"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The export that says which ABI a module speaks; the emulator speaks this one alone. */
export const ABI_VERSION_EXPORT = "proxy_abi_version_0_2_1";

/**
 * The host functions of proxy-wasm 0.2.1 that this binding uses, as they are imported, and nothing else: pointers and
 * lengths in, a status out. Each has one wrapper in this folder; nothing outside of it imports this file.
 *
 * Source: https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
 */

// @ts-ignore: decorator
@external("env", "proxy_log")
export declare function proxyLog(level: i32, message: usize, size: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_log_level")
export declare function proxyGetLogLevel(levelOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_current_time_nanoseconds")
export declare function proxyGetCurrentTime(nanosecondsOut: usize): i32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "clock_time_get")
export declare function wasiClockTimeGet(clock: i32, precision: u64, nanosecondsOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_set_tick_period_milliseconds")
export declare function proxySetTickPeriod(milliseconds: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_set_effective_context")
export declare function proxySetEffectiveContext(context: u32): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_buffer_bytes")
export declare function proxyGetBuffer(buffer: i32, start: i32, length: i32, dataOut: usize, sizeOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_header_map_pairs")
export declare function proxyGetHeaderPairs(map: i32, dataOut: usize, sizeOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_header_map_value")
export declare function proxyGetHeader(map: i32, name: usize, nameSize: i32, dataOut: usize, sizeOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_add_header_map_value")
export declare function proxyAddHeader(map: i32, name: usize, nameSize: i32, value: usize, valueSize: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_replace_header_map_value")
export declare function proxyReplaceHeader(map: i32, name: usize, nameSize: i32, value: usize, valueSize: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_remove_header_map_value")
export declare function proxyRemoveHeader(map: i32, name: usize, nameSize: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_property")
export declare function proxyGetProperty(path: usize, pathSize: i32, dataOut: usize, sizeOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_set_property")
export declare function proxySetProperty(path: usize, pathSize: i32, value: usize, valueSize: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_continue_stream")
export declare function proxyContinueStream(direction: i32): i32;

// @ts-ignore: decorator
@external("env", "proxy_send_local_response")
export declare function proxySendLocalResponse(
  status: i32,
  details: usize,
  detailsSize: i32,
  body: usize,
  bodySize: i32,
  headers: usize,
  headersSize: i32,
  grpcStatus: i32,
): i32;

// @ts-ignore: decorator
@external("env", "proxy_http_call")
export declare function proxyHttpCall(
  cluster: usize,
  clusterSize: i32,
  headers: usize,
  headersSize: i32,
  body: usize,
  bodySize: i32,
  trailers: usize,
  trailersSize: i32,
  timeoutMs: i32,
  tokenOut: usize,
): i32;

// @ts-ignore: decorator
@external("env", "proxy_get_shared_data")
export declare function proxyGetSharedData(
  key: usize,
  keySize: i32,
  dataOut: usize,
  sizeOut: usize,
  casOut: usize,
): i32;

// @ts-ignore: decorator
@external("env", "proxy_set_shared_data")
export declare function proxySetSharedData(key: usize, keySize: i32, value: usize, valueSize: i32, cas: u32): i32;

// @ts-ignore: decorator
@external("env", "proxy_define_metric")
export declare function proxyDefineMetric(kind: i32, name: usize, nameSize: i32, idOut: usize): i32;

// @ts-ignore: decorator
@external("env", "proxy_increment_metric")
export declare function proxyIncrementMetric(id: i32, offset: i64): i32;

// @ts-ignore: decorator
@external("env", "proxy_record_metric")
export declare function proxyRecordMetric(id: i32, value: u64): i32;

// @ts-ignore: decorator
@external("env", "proxy_call_foreign_function")
export declare function proxyCallForeignFunction(
  name: usize,
  nameSize: i32,
  argument: usize,
  argumentSize: i32,
  dataOut: usize,
  sizeOut: usize,
): i32;

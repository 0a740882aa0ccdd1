/**
 * The host functions of the ABI, by their names in the module `env`. What each checks, and in which order, is
 * that of the C++ host (src/exports.cc) and of Envoy behind it (source/extensions/common/wasm/context.cc).
 */
import { LOG_LEVELS, MAX_BUFFER_TYPE, MAX_MAP_TYPE, MAX_STREAM_TYPE, Status, StreamType } from "./abi.js";
import { callForeign } from "./foreign.js";
import { HeaderMap, lowerCase } from "./header-map.js";
import { HttpCall } from "./http-call.js";
import { pairsSize, parsePairs, putPairs } from "./pairs.js";
import { getProperty, setProperty } from "./properties.js";
import { RestrictedCall, allowedAtStart, allowedInMalloc } from "./restriction.js";
import type { Vm } from "./vm.js";
import { wasiFunctions } from "./wasi.js";

/** Parameters are numbers, but for 64-bit ones, which are bigints: no one type says that. */
export type HostFunction = (...args: never[]) => number | undefined;

const TWO_64 = 2 ** 64;
/** gRPC's own status codes go up to here; anything above means that the guest gave none. */
const MAX_GRPC_STATUS = 16;

const { Ok, NotFound, BadArgument, InvalidMemoryAccess, InternalFailure, Unimplemented } = Status;

/** What a module may import: each function counted in `vm.hostCalls`, and refused where it is restricted. */
export function hostImports(vm: Vm): Record<string, Record<string, HostFunction>> {
  const env = { ...generalFunctions(vm), ...headerFunctions(vm), ...streamFunctions(vm), ...stateFunctions(vm) };
  const wasi = wasiFunctions(vm);
  return {
    env: guardAll(vm, "env", env),
    wasi_snapshot_preview1: guardAll(vm, "wasi_snapshot_preview1", wasi),
    wasi_unstable: guardAll(vm, "wasi_unstable", wasi),
  };
}

function generalFunctions(vm: Vm): Record<string, HostFunction> {
  const { memory, clock, process } = lazily(vm);
  return {
    proxy_log: (level: number, pointer: number, size: number) => {
      if (level >>> 0 >= LOG_LEVELS.length) return BadArgument;
      const message = memory().view(pointer, size);
      if (message === undefined) return InvalidMemoryAccess;
      process.log(vm, level, message.toString("utf8"));
      return Ok;
    },
    proxy_get_log_level: (resultAt: number) =>
      memory().writeU32(resultAt, process.logLevel) ? Ok : InvalidMemoryAccess,
    proxy_get_current_time_nanoseconds: (resultAt: number) =>
      memory().writeU64(resultAt, clock.wall.low, clock.wall.high) ? Ok : InvalidMemoryAccess,
    proxy_set_tick_period_milliseconds: (ms: number) => {
      vm.active().root.setTickPeriod(ms >>> 0);
      return Ok;
    },
    proxy_set_effective_context: (id: number) => (vm.setEffectiveContext(id >>> 0) ? Ok : BadArgument),
    proxy_done: () => {
      const context = vm.active();
      return context === context.root ? context.root.done() : NotFound;
    },
    proxy_get_status: (codeAt: number, pointerAt: number, sizeAt: number) => {
      const root = vm.active().root;
      if (!memory().writeU32(codeAt, root.statusCode)) return InvalidMemoryAccess;
      return memory().giveString(root.statusMessage, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_call_foreign_function: (
      nameAt: number,
      nameSize: number,
      argsAt: number,
      argsSize: number,
      resultAt: number,
      resultSizeAt: number,
    ) => {
      const name = memory().string(nameAt, nameSize);
      const args = memory().view(argsAt, argsSize);
      if (name === undefined || args === undefined) return InvalidMemoryAccess;
      const answer = callForeign(name, args, vm.active(), process.signatures);
      if (answer === undefined) return NotFound;
      let pointer = 0;
      const size = answer.result?.length ?? 0;
      if (answer.result !== undefined && resultAt !== 0) {
        pointer = memory().allocate(size);
        if (pointer === 0) return InvalidMemoryAccess;
        memory().putBytes(pointer, answer.result);
      }
      if (resultAt !== 0 && !memory().writeU32(resultAt, pointer)) return InvalidMemoryAccess;
      if (resultSizeAt !== 0 && !memory().writeU32(resultSizeAt, size)) return InvalidMemoryAccess;
      return answer.status;
    },
    emscripten_notify_memory_growth: (_memory: number) => undefined,
    pthread_equal: (left: number, right: number) => (left === right ? 1 : 0),
  };
}

function headerFunctions(vm: Vm): Record<string, HostFunction> {
  const { memory } = lazily(vm);
  /** A write of a request header clears the route cache (context.h: onHeadersModified). */
  const written = (type: number): number => {
    if (type === 0) vm.active().stream?.clearRouteCache();
    return Ok;
  };
  return {
    proxy_get_header_map_pairs: (type: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const pairs = vm.active().readableMap(type)?.pairs ?? [];
      if (pairs.length === 0) return memory().giveString("", pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
      const size = pairsSize(pairs);
      const pointer = memory().allocate(size);
      if (pointer === 0) return InvalidMemoryAccess;
      putPairs(memory(), pointer, pairs);
      return memory().writeU32(pointerAt, pointer) && memory().writeU32(sizeAt, size) ? Ok : InvalidMemoryAccess;
    },
    /** In bytes, not in headers, and only of a map that may be written. */
    proxy_get_header_map_size: (type: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      return memory().writeU32(sizeAt, map.byteSize) ? Ok : InvalidMemoryAccess;
    },
    proxy_get_header_map_value: (type: number, nameAt: number, nameSize: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const context = vm.active();
      const name = memory().string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const map = context.readableMap(type);
      if (map === undefined) return context.accessLog === undefined ? BadArgument : NotFound;
      const value = map.get(name);
      if (value === undefined) return NotFound;
      return memory().giveString(value, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_header_map_pairs: (type: number, pointer: number, size: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const bytes = memory().view(pointer, size);
      if (bytes === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.replaceAll(parsePairs(bytes));
      return written(type);
    },
    proxy_add_header_map_value: (
      type: number,
      nameAt: number,
      nameSize: number,
      valueAt: number,
      valueSize: number,
    ) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const name = memory().string(nameAt, nameSize);
      const value = memory().string(valueAt, valueSize);
      if (name === undefined || value === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.add(name, value);
      return written(type);
    },
    proxy_replace_header_map_value: (
      type: number,
      nameAt: number,
      nameSize: number,
      valueAt: number,
      valueSize: number,
    ) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const name = memory().string(nameAt, nameSize);
      const value = memory().string(valueAt, valueSize);
      if (name === undefined || value === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.set(name, value);
      return written(type);
    },
    proxy_remove_header_map_value: (type: number, nameAt: number, nameSize: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const name = memory().string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.remove(name);
      return written(type);
    },
    proxy_get_buffer_bytes: (type: number, start: number, length: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const buffer = vm.active().buffer(type);
      if (buffer === undefined) return NotFound;
      // In C++ start and length are 64 bits wide here, so their sum never wraps.
      const from = start >>> 0;
      const part = buffer.subarray(from, from + (length >>> 0));
      return memory().giveBytes(part, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_get_buffer_status: (type: number, lengthAt: number, flagsAt: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const buffer = vm.active().buffer(type);
      if (buffer === undefined) return NotFound;
      return memory().writeU32(lengthAt, buffer.length) && memory().writeU32(flagsAt, 0) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_buffer_bytes: (type: number, start: number, length: number, dataAt: number, dataSize: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const data = memory().view(dataAt, dataSize);
      if (data === undefined) return InvalidMemoryAccess;
      return vm.active().writeBuffer(type, start >>> 0, length >>> 0, data);
    },
  };
}

function streamFunctions(vm: Vm): Record<string, HostFunction> {
  const { memory, process } = lazily(vm);
  return {
    proxy_continue_stream: (type: number) => {
      if (type >>> 0 > MAX_STREAM_TYPE) return BadArgument;
      if (type === StreamType.Upstream) return Unimplemented;
      const context = vm.active();
      const stream = context.stream;
      if (type === StreamType.Downstream) return Ok;
      if (stream !== undefined) {
        vm.afterCallActions.push(
          type === StreamType.Request ? () => stream.continueDecoding() : () => stream.continueEncoding(),
        );
      }
      // For the response too: that is what Envoy does.
      context.forgetRequest();
      return Ok;
    },
    proxy_close_stream: (type: number) => {
      if (type >>> 0 > MAX_STREAM_TYPE) return BadArgument;
      const stream = vm.active().stream;
      if (stream !== undefined && type <= StreamType.Response) vm.afterCallActions.push(() => stream.resetStream());
      return Ok;
    },
    proxy_send_local_response: (
      status: number,
      detailsAt: number,
      detailsSize: number,
      bodyAt: number,
      bodySize: number,
      pairsAt: number,
      pairsLength: number,
      grpcStatus: number,
    ) => {
      const details = memory().string(detailsAt, detailsSize);
      const body = memory().view(bodyAt, bodySize);
      const pairs = memory().view(pairsAt, pairsLength);
      if (details === undefined || body === undefined || pairs === undefined) return InvalidMemoryAccess;
      const stream = vm.active().stream;
      if (stream !== undefined) {
        const reply = {
          status,
          details: details.replace(/\s/g, "_"),
          body: Buffer.from(body),
          headers: parsePairs(pairs),
          grpcStatus: grpcStatus >>> 0 <= MAX_GRPC_STATUS ? grpcStatus : undefined,
        };
        vm.afterCallActions.push(() => stream.sendLocalReply(reply));
      }
      vm.stopIteration = true;
      return Ok;
    },
    proxy_http_call: (
      clusterAt: number,
      clusterSize: number,
      headersAt: number,
      headersSize: number,
      bodyAt: number,
      bodySize: number,
      trailersAt: number,
      trailersSize: number,
      timeoutMs: number,
      tokenAt: number,
    ) => {
      const root = vm.active().root;
      const cluster = memory().string(clusterAt, clusterSize);
      const body = memory().view(bodyAt, bodySize);
      const headerPairs = memory().view(headersAt, headersSize);
      const trailerPairs = memory().view(trailersAt, trailersSize);
      if (cluster === undefined || body === undefined || headerPairs === undefined || trailerPairs === undefined) {
        return InvalidMemoryAccess;
      }
      if (!memory().writeU32(tokenAt, 0)) return InvalidMemoryAccess;
      const state = process.clusters.get(cluster);
      if ((timeoutMs | 0) < 0 || state === undefined) return BadArgument;
      const headers = new HeaderMap("request", parsePairs(headerPairs));
      if ([":path", ":method", ":authority"].some((name) => headers.get(name) === undefined)) return BadArgument;
      if (body.length > 0) headers.set("content-length", String(body.length));
      const token = vm.nextCallToken();
      if (state === "no-endpoints") return InternalFailure;
      const trailers = parsePairs(trailerPairs).map(([name, value]) => [lowerCase(name), value] as const);
      const request = { cluster, headers: headers.pairs, body: Buffer.from(body), trailers, timeoutMs };
      new HttpCall(token, request, root, process.pendingCalls);
      memory().writeU32(tokenAt, token);
      return Ok;
    },
    proxy_grpc_call: () => Unimplemented,
    proxy_grpc_stream: () => Unimplemented,
    proxy_grpc_send: () => Unimplemented,
    proxy_grpc_cancel: () => Unimplemented,
    proxy_grpc_close: () => Unimplemented,
  };
}

function stateFunctions(vm: Vm): Record<string, HostFunction> {
  const { memory, process } = lazily(vm);
  return {
    proxy_get_property: (pathAt: number, pathSize: number, pointerAt: number, sizeAt: number) => {
      const path = memory().string(pathAt, pathSize);
      if (path === undefined) return InvalidMemoryAccess;
      const value = getProperty(vm.active(), path);
      if (typeof value === "number") return value;
      return memory().giveString(value, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_property: (pathAt: number, pathSize: number, valueAt: number, valueSize: number) => {
      const path = memory().string(pathAt, pathSize);
      const value = memory().string(valueAt, valueSize);
      if (path === undefined || value === undefined) return InvalidMemoryAccess;
      return setProperty(vm.active(), path, value);
    },
    proxy_get_shared_data: (keyAt: number, keySize: number, pointerAt: number, sizeAt: number, casAt: number) => {
      const key = memory().string(keyAt, keySize);
      if (key === undefined) return InvalidMemoryAccess;
      const data = process.sharedData.get(key);
      if (data === undefined) return NotFound;
      if (!memory().giveBytes(data.value, pointerAt, sizeAt)) return InvalidMemoryAccess;
      return memory().writeU32(casAt, data.cas) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_shared_data: (keyAt: number, keySize: number, valueAt: number, valueSize: number, cas: number) => {
      const key = memory().string(keyAt, keySize);
      const value = memory().view(valueAt, valueSize);
      if (key === undefined || value === undefined) return InvalidMemoryAccess;
      return process.sharedData.set(key, value, cas >>> 0);
    },
    /** Shared queues are not emulated. */
    proxy_register_shared_queue: () => Unimplemented,
    proxy_resolve_shared_queue: () => Unimplemented,
    proxy_dequeue_shared_queue: () => Unimplemented,
    proxy_enqueue_shared_queue: () => Unimplemented,
    proxy_define_metric: (type: number, nameAt: number, nameSize: number, idAt: number) => {
      const name = memory().string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const id = vm.metrics.define(type, name);
      if (id === undefined) return BadArgument;
      return memory().writeU32(idAt, id) ? Ok : InvalidMemoryAccess;
    },
    proxy_increment_metric: (id: number, offset: bigint) => vm.metrics.increment(id >>> 0, Number(offset)),
    proxy_record_metric: (id: number, value: bigint) => {
      const signed = Number(value);
      return vm.metrics.record(id >>> 0, signed < 0 ? signed + TWO_64 : signed);
    },
    proxy_get_metric: (id: number, resultAt: number) => {
      const metric = vm.metrics.get(id >>> 0);
      if ("status" in metric) return metric.status;
      const value = BigInt.asUintN(64, BigInt(metric.value));
      return memory().writeU64(resultAt, Number(value & 0xffffffffn), Number(value >> 32n)) ? Ok : InvalidMemoryAccess;
    },
  };
}

/** The imports are made before the instance, and so before its memory is there. */
function lazily(vm: Vm) {
  return { memory: () => vm.memory, clock: vm.clock, process: vm.process };
}

function guardAll(vm: Vm, module: string, functions: Record<string, HostFunction>): Record<string, HostFunction> {
  return Object.fromEntries(
    Object.entries(functions).map(([name, call]) => [
      name,
      guard(vm, `${module}.${name}`, call, allowedAtStart(module, name), allowedInMalloc(name)),
    ]),
  );
}

/** One closure a function and VM, with the arguments spelled out: spreading them costs more than most calls do. */
function guard(vm: Vm, name: string, call: HostFunction, atStart: boolean, inMalloc: boolean): HostFunction {
  const enter = (): void => {
    vm.hostCalls[name] = (vm.hostCalls[name] ?? 0) + 1;
    if (vm.restriction === "none") return;
    if (!(vm.restriction === "start" ? atStart : inMalloc)) throw new RestrictedCall(`restricted_callback: ${name}`);
  };
  const f = call as (...args: unknown[]) => number | undefined;
  if (call.length <= 5) {
    return ((a: unknown, b: unknown, c: unknown, d: unknown, e: unknown) => {
      enter();
      return f(a, b, c, d, e);
    });
  }
  return ((...args: unknown[]) => {
    enter();
    return f(...args);
  });
}

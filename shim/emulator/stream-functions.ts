/** Host functions on streams, and callouts: see host-functions.ts. */
import { MAX_STREAM_TYPE, Status, StreamType } from "./abi.js";
import { HeaderMap, lowerCase } from "./header-map.js";
import type { HostFunction } from "./host-functions.js";
import { HttpCall } from "./http-call.js";
import { parsePairs } from "./pairs.js";
import type { Vm } from "./vm.js";

/** gRPC's own status codes go up to here; anything above means that the guest gave none. */
const MAX_GRPC_STATUS = 16;

const { Ok, BadArgument, InvalidMemoryAccess, InternalFailure, Unimplemented } = Status;

export function streamFunctions(vm: Vm): Record<string, HostFunction> {
  const { process } = vm;
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
      const details = vm.memory.string(detailsAt, detailsSize);
      const body = vm.memory.view(bodyAt, bodySize);
      const pairs = vm.memory.view(pairsAt, pairsLength);
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
      const cluster = vm.memory.string(clusterAt, clusterSize);
      const body = vm.memory.view(bodyAt, bodySize);
      const headerPairs = vm.memory.view(headersAt, headersSize);
      const trailerPairs = vm.memory.view(trailersAt, trailersSize);
      if (cluster === undefined || body === undefined || headerPairs === undefined || trailerPairs === undefined) {
        return InvalidMemoryAccess;
      }
      if (!vm.memory.writeU32(tokenAt, 0)) return InvalidMemoryAccess;
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
      vm.memory.writeU32(tokenAt, token);
      return Ok;
    },
    proxy_grpc_call: () => Unimplemented,
    proxy_grpc_stream: () => Unimplemented,
    proxy_grpc_send: () => Unimplemented,
    proxy_grpc_cancel: () => Unimplemented,
    proxy_grpc_close: () => Unimplemented,
  };
}

/**
 * A context of the guest, seen from the host: what its callbacks and host calls can reach at each moment.
 * Follows Envoy's Context (source/extensions/common/wasm/context.cc) and the C++ host's ContextBase
 * (src/context.cc).
 */
import { BufferType, MapType, Status } from "./abi.js";
import type { HeaderMap } from "./header-map.js";
import type { Plugin } from "./plugin.js";
import type { RootContext } from "./root-context.js";
import type { CallbackName, Vm } from "./vm.js";

/** A body that the guest may change. */
export interface Body {
  bytes: Buffer;
}

/** A local reply as the guest asks for it. */
export interface LocalReply {
  readonly status: number;
  readonly details: string;
  readonly body: Buffer;
  readonly headers: readonly (readonly [string, string])[];
  /** Undefined where the guest gave none of gRPC's own. */
  readonly grpcStatus: number | undefined;
}

/** What a context can do to its stream: Envoy's decoder and encoder callbacks in one. */
export interface StreamCallbacks {
  readonly filterState: Map<string, string>;
  property(path: string): string | undefined;
  continueDecoding(): void;
  continueEncoding(): void;
  sendLocalReply(reply: LocalReply): void;
  resetStream(): void;
  clearRouteCache(): void;
}

const NO_BYTES = Buffer.alloc(0);
/** FilterDataStatus::StopIterationNoBuffer: what a body gets whose stream has failed. */
const STOP_NO_BUFFER = 3;
const FAIL_REPLY: LocalReply = {
  status: 503,
  details: "wasm_fail_stream",
  body: NO_BYTES,
  headers: [],
  grpcStatus: 14,
};

/** A stream's context; RootContext adds what roots have. */
export class Context {
  readonly vm: Vm;
  readonly id: number;
  readonly plugin: Plugin;
  readonly stream: StreamCallbacks | undefined;
  createdInVm = false;

  requestHeaders: HeaderMap | undefined;
  requestTrailers: HeaderMap | undefined;
  responseHeaders: HeaderMap | undefined;
  responseTrailers: HeaderMap | undefined;
  requestBody: Body | undefined;
  responseBody: Body | undefined;
  /** Set while proxy_on_log runs: reads then go to what the access log sees. */
  accessLog: { request: HeaderMap | undefined; response: HeaderMap | undefined } | undefined;

  readonly #root: RootContext | undefined;
  #failReplySent = false;
  #destroyed = false;

  constructor(vm: Vm, id: number, plugin: Plugin, root: RootContext | undefined, stream: StreamCallbacks | undefined) {
    this.vm = vm;
    this.id = id;
    this.plugin = plugin;
    this.#root = root;
    this.stream = stream;
  }

  get root(): RootContext {
    if (this.#root === undefined) throw new Error("a stream context without a root");
    return this.#root;
  }

  /** The map that host calls may write, or undefined in a phase that has none. */
  mutableMap(type: number): HeaderMap | undefined {
    switch (type) {
      case MapType.RequestHeaders:
        return this.requestHeaders;
      case MapType.RequestTrailers:
        return this.requestTrailers;
      case MapType.ResponseHeaders:
        return this.responseHeaders;
      case MapType.ResponseTrailers:
        return this.responseTrailers;
      default:
        return undefined;
    }
  }

  /** The map that host calls may read. */
  readableMap(type: number): HeaderMap | undefined {
    if (type === MapType.HttpCallResponseHeaders) return this.root.httpCallResponse?.headers;
    if (type === MapType.HttpCallResponseTrailers) return this.root.httpCallResponse?.trailers;
    if (this.accessLog === undefined) return this.mutableMap(type);
    if (type === MapType.RequestHeaders) return this.accessLog.request;
    return type === MapType.ResponseHeaders ? this.accessLog.response : undefined;
  }

  /** The bytes of a buffer. One that is merely absent is empty; undefined is one that cannot be had now. */
  buffer(type: number): Buffer | undefined {
    switch (type) {
      case BufferType.HttpRequestBody:
        return this.requestBody?.bytes ?? NO_BYTES;
      case BufferType.HttpResponseBody:
        return this.responseBody?.bytes ?? NO_BYTES;
      case BufferType.HttpCallResponseBody:
        return this.root.httpCallResponse?.body;
      case BufferType.VmConfiguration:
        return this.vm.vmConfiguration;
      case BufferType.PluginConfiguration:
        return undefined;
      default:
        return NO_BYTES;
    }
  }

  /**
   * Changes a body: at 0 the first `length` bytes give way to `data`, at or behind the end it is appended, in
   * between is a bad argument (context.cc: Buffer::copyFrom).
   */
  writeBuffer(type: number, start: number, length: number, data: Buffer): number {
    const body =
      type === BufferType.HttpRequestBody
        ? this.requestBody
        : type === BufferType.HttpResponseBody
          ? this.responseBody
          : undefined;
    if (body === undefined) return this.buffer(type) === undefined ? Status.NotFound : Status.BadArgument;
    if (start === 0) body.bytes = Buffer.concat([data, body.bytes.subarray(length)]);
    else if (start >= body.bytes.length) body.bytes = Buffer.concat([body.bytes, data]);
    else return Status.BadArgument;
    return Status.Ok;
  }

  onCreate(): void {
    if (!this.createdInVm) this.notify("proxy_on_context_create", this.#root?.id ?? 0);
    this.createdInVm = true;
  }

  /** Whether the request may go on. */
  decodeHeaders(headers: HeaderMap, endOfStream: boolean): boolean {
    this.onCreate();
    this.requestHeaders = headers;
    const goOn = this.#ask("proxy_on_request_headers", headers.size, endOfStream ? 1 : 0) === 0;
    if (goOn) this.requestHeaders = undefined;
    return goOn;
  }

  /** The guest's answer, one of FilterDataStatus. */
  decodeData(body: Body, endOfStream: boolean): number {
    this.requestBody = body;
    const action = this.#ask("proxy_on_request_body", body.bytes.length, endOfStream ? 1 : 0);
    if (action === 0) this.requestBody = undefined;
    return action;
  }

  decodeTrailers(trailers: HeaderMap): boolean {
    this.requestTrailers = trailers;
    const goOn = this.#ask("proxy_on_request_trailers", trailers.size, 0) === 0;
    if (goOn) this.requestTrailers = undefined;
    return goOn;
  }

  encodeHeaders(headers: HeaderMap, endOfStream: boolean): boolean {
    if (this.#skipsEncoding()) return true;
    this.responseHeaders = headers;
    const goOn = this.#ask("proxy_on_response_headers", headers.size, endOfStream ? 1 : 0) === 0;
    if (goOn) this.responseHeaders = undefined;
    return goOn;
  }

  encodeData(body: Body, endOfStream: boolean): number {
    if (this.#skipsEncoding()) return 0;
    this.responseBody = body;
    const action = this.#ask("proxy_on_response_body", body.bytes.length, endOfStream ? 1 : 0);
    if (action === 0) this.responseBody = undefined;
    return action;
  }

  encodeTrailers(trailers: HeaderMap): boolean {
    if (this.#skipsEncoding()) return true;
    this.responseTrailers = trailers;
    const goOn = this.#ask("proxy_on_response_trailers", trailers.size, 0) === 0;
    if (goOn) this.responseTrailers = undefined;
    return goOn;
  }

  log(request: HeaderMap | undefined, response: HeaderMap | undefined): void {
    this.accessLog = { request, response };
    this.notify("proxy_on_log");
    this.accessLog = undefined;
  }

  /** The end: proxy_on_done, whose answer counts for roots alone, then proxy_on_delete. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.notify("proxy_on_done");
    this.notify("proxy_on_delete");
    this.vm.contexts.delete(this.id);
  }

  /** Forgets the request, as Envoy does when the guest lets a stream go on. */
  forgetRequest(): void {
    this.requestHeaders = undefined;
    this.requestBody = undefined;
    this.requestTrailers = undefined;
  }

  /** A callback without an answer that matters; 0 where it is not exported or the VM has failed. */
  notify(name: CallbackName, a = 0, b = 0, c = 0, d = 0): number {
    if (this.vm.failed || !this.vm.exports(name)) return 0;
    const answer = this.vm.invoke(this, name, this.id, a, b, c, d);
    this.vm.afterCall();
    return answer;
  }

  /** A callback whose answer says whether to go on (0); a failed VM and a local reply stop in any case. */
  #ask(name: CallbackName, a: number, b: number): number {
    if (this.vm.failed) return this.#failed();
    if (!this.vm.exports(name)) return 0;
    const outcome = this.#outcome(this.vm.invoke(this, name, this.id, a, b));
    this.vm.afterCall();
    return outcome;
  }

  #outcome(answer: number): number {
    if (this.vm.failed) return this.#failed();
    return this.vm.stopIteration ? STOP_NO_BUFFER : answer;
  }

  /** FAIL_CLOSED: a 503 once, which the guest does not see any more. FAIL_OPEN goes on without the filter. */
  #failed(): number {
    if (this.plugin.failStrategy === "open") return 0;
    if (!this.#failReplySent) {
      this.#failReplySent = true;
      this.stream?.sendLocalReply(FAIL_REPLY);
    }
    return STOP_NO_BUFFER;
  }

  #skipsEncoding(): boolean {
    return !this.createdInVm || this.#failReplySent;
  }
}

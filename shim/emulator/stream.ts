/**
 * One request and its response, seen from both ends: the test is the client and the upstream, the filter of
 * one VM is in between.
 */
import { Context, type LocalReply, type StreamCallbacks } from "./context.js";
import type { RootContext } from "./root-context.js";
import { Flow } from "./flow.js";
import { HeaderMap } from "./header-map.js";
import { bodyBytes, type BodyInput } from "./http-call.js";
import { prepareLocalReply } from "./local-reply.js";
import type { Headers } from "./pairs.js";

export interface StreamOptions {
  /** As they reach the filter: Envoy's own checks and additions are the test's business. Names in any case. */
  readonly headers: Headers;
  /** Whether the request ends with its headers. Default true. */
  readonly endOfStream?: boolean;
  /** Properties by their path with dots: "xds.filter_chain_name". Bytes as latin1 strings. */
  readonly properties?: Readonly<Record<string, string>>;
}

/** A response as the client sees it. */
export interface Response {
  /** The value of `:status`. */
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers | undefined;
  /** Whether the client has all of it. */
  readonly complete: boolean;
}

const NO_PROPERTIES: ReadonlyMap<string, string> = new Map();

/** What Envoy answers while it waits for a configuration that it can take (measured with ECDS). */
const NOT_CONFIGURED: LocalReply = {
  status: 500,
  details: "filter_config_not_found",
  body: Buffer.alloc(0),
  headers: [],
  grpcStatus: undefined,
};

/** "unfiltered": Envoy skips the filter. "unconfigured": it was never given one that it could take. */
export type Unserved = "unfiltered" | "unconfigured";

export class Stream implements StreamCallbacks {
  readonly filterState = new Map<string, string>();
  /** How often the route was to be computed again: once for each write of a request header. */
  routeCacheClears = 0;
  /** What the guest, or Envoy for a guest that failed, answered in place of an upstream. */
  localReply: LocalReply | undefined;
  /** The stream is over, and the guest has had its proxy_on_delete. */
  ended = false;
  /** It ended without a complete response: the client sees a reset, or went away itself. */
  reset = false;

  /** Undefined where no filter runs. */
  readonly #context: Context | undefined;
  readonly #properties: ReadonlyMap<string, string>;
  readonly #decoder: Flow;
  readonly #encoder: Flow;
  readonly #onEnd: () => void;
  #decoding = false;
  #preparedReply: LocalReply | undefined;

  /** `root` is the configuration to serve with. */
  constructor(root: RootContext | Unserved, options: StreamOptions, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#properties = options.properties === undefined ? NO_PROPERTIES : new Map(Object.entries(options.properties));
    this.#context = typeof root === "string" ? undefined : createContext(root, this);
    const context = this.#context;
    const unconfigured = root === "unconfigured";
    this.#decoder = new Flow({
      headers: (headers, end) => {
        if (unconfigured) this.sendLocalReply(NOT_CONFIGURED);
        this.#decoding = true;
        return this.#decoded(context?.decodeHeaders(headers, end) ?? true);
      },
      data: (body, end) => {
        this.#decoding = true;
        return this.#decoded(context?.decodeData(body, end) ?? 0);
      },
      trailers: (trailers) => {
        this.#decoding = true;
        return this.#decoded(context?.decodeTrailers(trailers) ?? true);
      },
    });
    this.#encoder = new Flow({
      headers: (headers, end) => context?.encodeHeaders(headers, end) ?? true,
      data: (body, end) => context?.encodeData(body, end) ?? 0,
      trailers: (trailers) => context?.encodeTrailers(trailers) ?? true,
    });
  }

  /** The client's headers arrive. Called once, by the emulator. */
  start(options: StreamOptions): void {
    this.#decoder.receiveHeaders(new HeaderMap("request", options.headers), options.endOfStream ?? true);
  }

  /** The number of the guest's context, as it appears in its callbacks; 0 where there is none. */
  get contextId(): number {
    return this.#context?.id ?? 0;
  }

  /** "pause" while the filter holds the request, or has answered it itself. */
  get action(): "continue" | "pause" {
    return this.#decoder.passedHeaders === undefined ? "pause" : "continue";
  }

  /** Whether the filter holds the request back now. In a VM that has failed it does so for ever. */
  get paused(): boolean {
    return this.#decoder.paused;
  }

  /** Paused in a VM that has failed: nothing will ever release this request. */
  get hangs(): boolean {
    return this.paused && this.#context?.vm.failed === true;
  }

  /** The request headers that the upstream gets, in Envoy's order; undefined until they are forwarded. */
  get requestHeaders(): Headers | undefined {
    return this.#decoder.passedHeaders?.pairs;
  }

  /** The first value of a forwarded request header. */
  requestHeader(name: string): string | undefined {
    return this.#decoder.passedHeaders?.get(name);
  }

  get requestBody(): Buffer {
    return Buffer.concat(this.#decoder.passedBody);
  }

  get requestTrailers(): Headers | undefined {
    return this.#decoder.passedTrailers?.pairs;
  }

  /** What the client has of the response, undefined before its headers. */
  get response(): Response | undefined {
    const headers = this.#encoder.passedHeaders;
    if (headers === undefined) return undefined;
    return {
      status: Number(headers.get(":status")),
      headers: headers.pairs,
      body: Buffer.concat(this.#encoder.passedBody),
      trailers: this.#encoder.passedTrailers?.pairs,
      complete: this.#encoder.complete,
    };
  }

  /** The first value of a response header as the client sees it. */
  responseHeader(name: string): string | undefined {
    return this.#encoder.passedHeaders?.get(name);
  }

  /** The client sends a part of its body. */
  sendBody(body: BodyInput, endOfStream = false): void {
    if (this.ended) return;
    this.#decoder.receiveData(bodyBytes(body), endOfStream);
  }

  sendTrailers(trailers: Headers): void {
    if (this.ended) return;
    this.#decoder.receiveTrailers(new HeaderMap("trailers", trailers));
  }

  /**
   * The upstream answers: with headers alone, or with more to come. Gives what the client has of it, which is
   * nothing where the filter holds it. The stream ends with its response.
   */
  respond(headers: Headers, options: { endOfStream?: boolean; body?: BodyInput } = {}): Response | undefined {
    if (this.#decoder.passedHeaders === undefined) {
      throw new Error("no upstream can answer: the request has not been forwarded");
    }
    this.#expectOpen();
    const hasBody = options.body !== undefined;
    this.#encoder.receiveHeaders(new HeaderMap("response", headers), !hasBody && (options.endOfStream ?? true));
    if (options.body !== undefined) this.respondBody(options.body, options.endOfStream ?? true);
    this.#endIfComplete();
    return this.response;
  }

  /** The upstream sends a part of the body. */
  respondBody(body: BodyInput, endOfStream = false): void {
    this.#encoder.receiveData(bodyBytes(body), endOfStream);
    this.#endIfComplete();
  }

  respondTrailers(trailers: Headers): void {
    this.#encoder.receiveTrailers(new HeaderMap("trailers", trailers));
    this.#endIfComplete();
  }

  /** The client goes away, or the upstream breaks off: the stream ends as it is. */
  abort(): void {
    if (this.ended) return;
    this.reset = true;
    this.#end();
  }

  // What the guest asks for, by way of its context.

  property(path: string): string | undefined {
    return this.#properties.get(path);
  }

  clearRouteCache(): void {
    this.routeCacheClears++;
  }

  continueDecoding(): void {
    if (!this.ended) this.#decoder.resume();
  }

  continueEncoding(): void {
    if (this.ended) return;
    this.#encoder.resume();
    this.#endIfComplete();
  }

  resetStream(): void {
    this.abort();
  }

  /**
   * Before a response has begun the reply goes through the filter like any response. When response headers
   * are in the filter the client gets the reply past it; when they are out, a reset. While the filter is at
   * the request the reply waits until it is done with it, and only the first one counts.
   */
  sendLocalReply(reply: LocalReply): void {
    if (this.ended) return;
    this.#decoder.aborted = true;
    if (this.#decoding) this.#preparedReply ??= reply;
    else this.#reply(reply);
  }

  /** The filter is done with a part of the request: a reply that waited for this is sent. */
  #decoded<T>(answer: T): T {
    this.#decoding = false;
    const reply = this.#preparedReply;
    this.#preparedReply = undefined;
    if (reply !== undefined) this.#reply(reply);
    return answer;
  }

  #reply(reply: LocalReply): void {
    if (this.ended) return;
    const request = this.#decoder.incoming;
    if (request === undefined || this.#encoder.passedHeaders !== undefined) {
      this.abort();
      return;
    }
    this.localReply = reply;
    const { headers, body } = prepareLocalReply(reply, request);
    if (this.#encoder.incoming === undefined) {
      this.#encoder.receiveHeaders(headers, body.length === 0);
      if (body.length > 0) this.#encoder.receiveData(body, true);
      this.#endIfComplete();
      return;
    }
    this.#encoder.aborted = true;
    this.#encoder.passedHeaders = headers;
    this.#encoder.passedBody.push(body);
    this.#encoder.complete = true;
    this.#end();
  }

  #expectOpen(): void {
    if (this.ended) throw new Error("the stream is over");
  }

  #endIfComplete(): void {
    if (this.#encoder.complete && !this.ended) this.#end();
  }

  /** Envoy writes its access log first, then destroys the filters. */
  #end(): void {
    this.ended = true;
    this.#decoder.aborted = true;
    this.#encoder.aborted = true;
    this.#context?.log(this.#decoder.incoming, this.#encoder.passedHeaders ?? this.#encoder.incoming);
    this.#context?.destroy();
    this.#onEnd();
  }
}

function createContext(root: RootContext, stream: Stream): Context {
  const vm = root.vm;
  const context = new Context(vm, vm.failed ? 0 : vm.nextContextId(), root.plugin, root, stream);
  if (!vm.failed) vm.contexts.set(context.id, context);
  return context;
}

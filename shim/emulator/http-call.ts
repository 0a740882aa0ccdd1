/** A callout of a guest (proxy_http_call), waiting for the test to answer it. */
import { Status } from "./abi.js";
import type { RootContext } from "./root-context.js";
import { HeaderMap } from "./header-map.js";
import type { Headers } from "./pairs.js";

/** Envoy reads no more of an answer (runtime key http.async_response_buffer_limit). */
const MAX_RESPONSE_BYTES = 32 * 1024 * 1024;

/** Bytes, or text that is sent as UTF-8. */
export type BodyInput = string | Uint8Array;

export function bodyBytes(body: BodyInput): Buffer {
  return typeof body === "string" ? Buffer.from(body) : Buffer.from(body);
}

export interface HttpCallRequest {
  readonly cluster: string;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers;
  /** 0 is no timeout. */
  readonly timeoutMs: number;
}

export class HttpCall {
  readonly token: number;
  readonly request: HttpCallRequest;
  /** The VM that called: "main" or "worker N". */
  readonly vm: string;
  readonly #root: RootContext;
  readonly #pending: Set<HttpCall>;
  #stopTimeout: (() => void) | undefined;

  /** Starts waiting: among the root's calls, in `pending`, and with a timeout on the clock. */
  constructor(token: number, request: HttpCallRequest, root: RootContext, pending: Set<HttpCall>) {
    this.token = token;
    this.request = request;
    this.vm = root.vm.name;
    this.#root = root;
    this.#pending = pending;
    pending.add(this);
    root.calls.set(token, this);
    if (request.timeoutMs > 0) this.#stopTimeout = root.vm.clock.after(request.timeoutMs, () => this.#timeOut());
  }

  /** The first value of a header of the request. */
  header(name: string): string | undefined {
    return this.request.headers.find(([key]) => key === name)?.[1];
  }

  /** The answer arrives, whole. Envoy gives a body of more than 32 MiB up: the guest then sees a failure. */
  respond(headers: Headers, body: BodyInput = "", trailers?: Headers): void {
    const bytes = bodyBytes(body);
    if (bytes.length > MAX_RESPONSE_BYTES) {
      this.fail();
      return;
    }
    this.#settle();
    const root = this.#root;
    const response = {
      headers: new HeaderMap("response", headers),
      body: bytes,
      trailers: trailers === undefined ? undefined : new HeaderMap("trailers", trailers),
    };
    root.httpCallResponse = response;
    root.vm.afterCallActions.push(() => {
      root.httpCallResponse = undefined;
      root.calls.delete(this.token);
    });
    root.notify(
      "proxy_on_http_call_response",
      this.token,
      response.headers.size,
      bytes.length,
      response.trailers?.size ?? 0,
    );
  }

  /** The upstream resets the stream: a callback with no headers, and "reset" in proxy_get_status. */
  fail(): void {
    this.#settle();
    const root = this.#root;
    root.statusCode = Status.BrokenConnection;
    root.statusMessage = "reset";
    root.vm.afterCallActions.push(() => {
      root.statusMessage = "";
      root.calls.delete(this.token);
    });
    root.notify("proxy_on_http_call_response", this.token, 0, 0, 0);
  }

  /** The upstream cannot be reached: Envoy's router answers for it, with a 503. */
  refuse(): void {
    this.#localReply(
      "503",
      "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    );
  }

  /** No callback comes any more: the root has gone. */
  cancel(): void {
    this.#settle();
    this.#root.calls.delete(this.token);
  }

  #timeOut(): void {
    this.#localReply("504", "upstream request timeout");
  }

  #localReply(status: string, body: string): void {
    this.respond(
      [
        [":status", status],
        ["content-length", String(body.length)],
        ["content-type", "text/plain"],
      ],
      body,
    );
  }

  #settle(): void {
    if (!this.#pending.delete(this)) throw new Error(`call ${this.token} of ${this.vm} is no longer waiting`);
    this.#stopTimeout?.();
  }
}

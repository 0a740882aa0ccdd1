/** What the backends of the local mesh share: JSON in and out, server-sent events, their own time, bounds. */

import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";

import { endOf, pause, requestUrl, startHttpServer, type LocalServer } from "./server.js";

const MAX_BODY_BYTES = 1024 * 1024;

export interface BackendOptions {
  readonly port?: number | undefined;
  /** Name of this service's entry in `Server-Timing`. Default `app`. */
  readonly timingName?: string | undefined;
}

export interface Backend extends LocalServer {
  /** How many requests have arrived. */
  requests(): number;
}

/** What is wrong with a request, told to its client as JSON. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** One request and its answer. */
export class Exchange {
  readonly url: URL;
  /** Aborts when the answer is complete or its client has gone. */
  readonly ended: AbortSignal;
  private readonly arrivedAtMs = performance.now();

  constructor(
    readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly timingName: string,
  ) {
    this.url = requestUrl(request);
    this.ended = endOf(response);
  }

  /** Method and path, such as `POST /run`. */
  get operation(): string {
    return `${this.request.method} ${this.url.pathname}`;
  }

  get elapsedMs(): number {
    return performance.now() - this.arrivedAtMs;
  }

  /** The body as JSON, `{}` where there is none. @throws RequestError 413 beyond 1 MiB, 400 where it is no JSON. */
  async body(): Promise<unknown> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_BODY_BYTES) throw new RequestError(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
      chunks.push(chunk);
    }
    try {
      return length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString("utf8"));
    } catch {
      throw new RequestError(400, "the body is not valid JSON");
    }
  }

  /** Waits, but no longer than the client does. */
  pause(durationMs: number): Promise<void> {
    return pause(durationMs, this.ended);
  }

  json(status: number, value: unknown): void {
    this.whole(status, "application/json", JSON.stringify(value));
  }

  text(body: string): void {
    this.whole(200, "text/plain; charset=utf-8", body);
  }

  /** Sends the headers of an event stream at once; `event` and `endEvents` follow. */
  beginEvents(): void {
    this.begin(200, "text/event-stream; charset=utf-8", { "cache-control": "no-cache" });
    this.response.flushHeaders();
  }

  /** Sends one event (WHATWG server-sent events); `data` has no line breaks. Waits while the client reads slowly. */
  async event(data: string, name?: string): Promise<void> {
    this.ended.throwIfAborted();
    const written = this.response.write(`${name === undefined ? "" : `event: ${name}\n`}data: ${data}\n\n`);
    if (!written) await once(this.response, "drain", { signal: this.ended });
  }

  endEvents(): void {
    this.response.end();
  }

  /** Tells the client what went wrong; a client that went away, or an answer that had begun, is cut off. */
  fail(error: unknown): void {
    if (this.response.headersSent || this.ended.aborted) {
      this.response.destroy();
      return;
    }
    const { status, message } = error instanceof RequestError ? error : { status: 500, message: "internal error" };
    this.json(status, { error: { message, type: status < 500 ? "invalid_request_error" : "server_error" } });
  }

  private whole(status: number, contentType: string, body: string): void {
    this.begin(status, contentType, { "content-length": String(Buffer.byteLength(body)) });
    this.response.end(body);
  }

  private begin(status: number, contentType: string, headers: Record<string, string> = {}): void {
    const timing = `${this.timingName};dur=${this.elapsedMs.toFixed(3)}`;
    this.response.writeHead(status, { ...headers, "content-type": contentType, "server-timing": timing });
  }
}

/**
 * Starts a backend: `GET /healthz` answers by itself, everything else is `answer`'s, which throws RequestError for
 * what the client did wrong. @throws Failure if the port cannot be had.
 */
export async function startBackend(
  { port, timingName = "app" }: BackendOptions,
  answer: (exchange: Exchange) => Promise<void> | void,
): Promise<Backend> {
  let requests = 0;
  const server = await startHttpServer(
    async (request, response) => {
      requests++;
      const exchange = new Exchange(request, response, timingName);
      try {
        if (exchange.operation === "GET /healthz") exchange.text("ok\n");
        else await answer(exchange);
      } catch (error) {
        exchange.fail(error);
      }
    },
    { port },
  );
  return { ...server, requests: () => requests };
}

/** For a path that a backend does not have. */
export function unknownOperation(exchange: Exchange): RequestError {
  return new RequestError(404, `${exchange.operation} is not served here`);
}

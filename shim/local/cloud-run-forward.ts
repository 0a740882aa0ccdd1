/** How Cloud Run's front end hands a request to a container and its answer back: streamed, with Google's headers. */

import { randomBytes } from "node:crypto";
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import https from "node:https";
import type { Duplex } from "node:stream";

/** Cloud Run's limit for a request over HTTP/1. https://cloud.google.com/run/quotas */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

const FRONT_END = "Google Frontend";

/** Headers of one connection (RFC 9110, 7.6.1), which end at a proxy; `expect` was answered by the front end. */
const CONNECTION_HEADERS = new Set([
  "connection",
  "expect",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

type Headers = Record<string, string | string[]>;

/** Where a container listens, and the connections to it. */
export interface Containers {
  /** Begins a request to the container at `origin`. */
  request(origin: string, method: string | undefined, path: string | undefined, headers: Headers): ClientRequest;
  close(): void;
}

export function connectContainers(): Containers {
  const agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) };
  return {
    request(origin, method = "GET", path = "/", headers) {
      const { protocol, hostname, port } = new URL(origin);
      const target = { hostname, port, method, path, headers };
      return protocol === "https:"
        ? https.request({ ...target, agent: agents.https })
        : http.request({ ...target, agent: agents.http });
    },
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

/** What the container sees: the caller's headers, patched, with the front end's own in place of the connection's. */
export function containerHeaders(request: Http2ServerRequest, host: string, patch: Readonly<Headers>): Headers {
  const client = request.socket.remoteAddress ?? "unknown";
  const before = request.headers["x-forwarded-for"];
  const { traceparent, cloudTraceContext } = traceHeaders(request.headers["traceparent"]);
  return {
    ...endToEndHeaders(request.headers),
    ...patch,
    host,
    "x-forwarded-for": before === undefined ? client : `${String(before)},${client}`,
    "x-forwarded-proto": "https",
    forwarded: `for="${client}";proto=https`,
    traceparent,
    "x-cloud-trace-context": cloudTraceContext,
  };
}

/** Sends the request to the container and its answer to the client; neither body is ever held whole. */
export function forward(
  containers: Containers,
  origin: string,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  headers: Headers,
): void {
  const body = hasBody(request);
  if (body && headers["content-length"] === undefined) headers["transfer-encoding"] = "chunked";
  const upstream = containers.request(origin, request.method, request.url, headers);
  upstream.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, googleHeaders(endToEndHeaders(answer.headers), headers));
    // HTTP/1.1 would keep the headers until the first bytes of the body. (The types leave the method out.)
    (response as Partial<Pick<ServerResponse, "flushHeaders">>).flushHeaders?.();
    answer.pipe(response);
    answer.once("error", () => response.destroy());
  });
  upstream.on("error", () => {
    if (response.headersSent) response.destroy();
    else answerItself(response, 503, "Service Unavailable");
  });
  response.once("close", () => upstream.destroy());
  if (body) sendBody(request, response, upstream);
  else upstream.end();
}

function sendBody(request: Http2ServerRequest, response: Http2ServerResponse, upstream: ClientRequest): void {
  let received = 0;
  request.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received <= MAX_REQUEST_BYTES) return;
    request.unpipe(upstream);
    if (!response.headersSent) answerItself(response, 413, "Request Entity Too Large");
    upstream.destroy();
  });
  request.pipe(upstream);
}

/** Forwards a WebSocket handshake (HTTP/1.1) and then copies bytes both ways. */
export function forwardUpgrade(
  containers: Containers,
  origin: string,
  request: IncomingMessage,
  client: Duplex,
  headers: Headers,
): void {
  const handshake = { ...headers, connection: "Upgrade", upgrade: request.headers.upgrade ?? "websocket" };
  const upstream = containers.request(origin, request.method, request.url, handshake);
  upstream.on("upgrade", (answer, container, head) => {
    client.write(
      responseHead(101, { ...googleHeaders(endToEndHeaders(answer.headers), headers), ...handshakeOf(answer) }),
    );
    if (head.length > 0) client.write(head);
    container.pipe(client).pipe(container);
    container.once("error", () => client.destroy());
    client.once("close", () => container.destroy());
  });
  upstream.on("response", (answer) => {
    answer.resume();
    client.end(responseHead(answer.statusCode ?? 502, { "content-length": "0", connection: "close" }));
  });
  upstream.on("error", () => client.destroy());
  client.once("close", () => upstream.destroy());
  upstream.end();
}

/** Ends a handshake on a raw connection with an ordinary answer. */
export function refuseUpgrade(client: Duplex, status: number): void {
  client.end(responseHead(status, { "content-length": "0", connection: "close" }));
}

function handshakeOf(answer: IncomingMessage): Headers {
  return { connection: "Upgrade", upgrade: answer.headers.upgrade ?? "websocket" };
}

function responseHead(status: number, headers: Headers): string {
  const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`));
  return `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ""}\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** An answer of the front end's own. */
export function answerItself(
  response: Http2ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Headers> = { "content-type": "text/plain; charset=utf-8" },
): void {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body), server: FRONT_END });
  response.end(body);
}

function hasBody(request: Http2ServerRequest): boolean {
  if (request.httpVersionMajor === 2) return !request.stream.endAfterHeaders;
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && length !== "0");
}

function endToEndHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Headers {
  const named = String(headers.connection ?? "")
    .toLowerCase()
    .split(/\s*,\s*/);
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) {
    const ends = name.startsWith(":") || CONNECTION_HEADERS.has(name) || named.includes(name);
    if (!ends && value !== undefined) kept[name] = value;
  }
  return kept;
}

function googleHeaders(headers: Headers, sent: Headers): Headers {
  const trace = String(sent["x-cloud-trace-context"]).split("/", 1)[0] ?? "";
  return { ...headers, server: FRONT_END, "x-cloud-trace-context": trace };
}

/** A new span of the caller's trace (W3C Trace Context), or of a new trace that is not sampled. */
function traceHeaders(incoming: string | string[] | undefined): { traceparent: string; cloudTraceContext: string } {
  const known = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/.exec(String(incoming));
  const trace = known?.[1] ?? randomBytes(16).toString("hex");
  const flags = known?.[2] ?? "00";
  const span = randomBytes(8);
  const sampled = Number.parseInt(flags, 16) & 1;
  return {
    traceparent: `00-${trace}-${span.toString("hex")}-${flags}`,
    cloudTraceContext: `${trace}/${span.readBigUInt64BE()};o=${sampled}`,
  };
}

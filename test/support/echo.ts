import { createHash } from "node:crypto";
import http, { type IncomingMessage } from "node:http";
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";

import { HTTP_LIMITS, listen, type LocalServer } from "../../shim/local/server.js";

/** What a service saw of a request. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  /** Names and values as they came, in turns. */
  readonly rawHeaders: readonly string[];
  /** Of the request's body. */
  readonly bytes: number;
  readonly sha256: string;
}

/** A service that says what it saw, as JSON; the response also has it for a HEAD, in `x-seen-method`. */
export function startEcho(): Promise<LocalServer> {
  return startService((request, response) => {
    const hash = createHash("sha256");
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
    });
    request.on("end", () => {
      const { method = "", url = "", httpVersion, rawHeaders } = request;
      const seen: Seen = { method, url, httpVersion, rawHeaders, bytes, sha256: hash.digest("hex") };
      const body = JSON.stringify(seen);
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "x-seen-method": method,
      });
      response.end(body);
    });
  });
}

/** An HTTP/1.1 service that answers as `handler` does. `upgraded` gets the connections of requests to upgrade, and of CONNECT. */
export function startService(
  handler: http.RequestListener,
  upgraded?: (request: IncomingMessage, socket: import("node:stream").Duplex) => void,
): Promise<LocalServer> {
  const server = http.createServer({ ...HTTP_LIMITS, maxHeaderSize: 1 << 20 }, handler);
  if (upgraded !== undefined) {
    server.on("upgrade", upgraded);
    server.on("connect", upgraded);
  }
  return listen(server, "http");
}

/** An HTTP/2 service with prior knowledge. */
export function startHttp2Service(
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<LocalServer> {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    // A caller that goes away resets its stream; the tests see that on their own side.
    stream.on("error", () => undefined);
    onStream(stream, headers);
  });
  return listen(server, "http");
}

/** All values of a header that a service saw. */
export function seenHeader({ rawHeaders }: Pick<Seen, "rawHeaders">, name: string): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

/** The audience of the token in an `authorization` value; undefined where there is no such token. The signature is not looked at. */
export function audienceOf(authorization: string | undefined): string | undefined {
  const payload = /^Bearer [\w-]+\.([\w-]+)\.[\w-]+$/.exec(authorization ?? "")?.[1];
  if (payload === undefined) return undefined;
  return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { aud?: string }).aud;
}

import http, { type IncomingMessage, type IncomingHttpHeaders } from "node:http";
import { once } from "node:events";

import { listen, type LocalServer } from "../../shim/local/server.js";

interface RelayOptions {
  /** Answered with 404. */
  readonly isRefused?: (request: IncomingMessage) => boolean;
  /** Turns a byte of every layer around. */
  readonly isLying?: boolean;
}

/** A registry on this machine that hands on what another says, as far as that is wanted. */
export function startRegistryRelay(to: string, { isRefused, isLying = false }: RelayOptions): Promise<LocalServer> {
  const server = http.createServer((request, response) => {
    void (async () => {
      if (isRefused?.(request) === true) {
        response.writeHead(404).end();
        return;
      }
      const headers: IncomingHttpHeaders = { ...request.headers, host: to };
      const upstream = http.request(`http://${to}${request.url ?? ""}`, { method: request.method, headers });
      upstream.end();
      const [answer] = (await once(upstream, "response")) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (isLying && request.url?.includes("/blobs/") === true)
        body.writeUInt8(body.readUInt8(body.length - 1) ^ 1, body.length - 1);
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      response.end(body);
    })();
  });
  return listen(server, "http");
}

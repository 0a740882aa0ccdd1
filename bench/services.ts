import http2 from "node:http2";
import type { ServerResponse } from "node:http";

import { listen, type LocalServer, startHttpServer } from "../shim/local/server.js";

/** Chunks of one stream, and how far apart they are: each is to reach Envoy by itself. */
export const CHUNKS = 200;
const CHUNK_GAP_MS = 1;

/** Answers every request with 200 server-sent events, as a language model that streams would. */
export async function startStreamService(): Promise<LocalServer> {
  const streams = new Map<ServerResponse, number>();
  const ticker = setInterval(() => {
    for (const [response, sent] of streams) {
      if (sent === CHUNKS) {
        streams.delete(response);
        response.end();
      } else {
        streams.set(response, sent + 1);
        response.write(`data: {"choices":[{"index":0,"delta":{"content":"token ${sent}"}}]}\n\n`);
      }
    }
  }, CHUNK_GAP_MS);
  const server = await startHttpServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    response.once("close", () => streams.delete(response));
    streams.set(response, 0);
  });
  return {
    ...server,
    close: () => {
      clearInterval(ticker);
      return server.close();
    },
  };
}

/** A gRPC message of two bytes: not compressed, its length, itself. */
export const GRPC_MESSAGE = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

/** Answers every unary call with a message and `grpc-status: 0`, over HTTP/2 in clear text. */
export function startGrpcService(): Promise<LocalServer> {
  const server = http2.createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.resume();
    stream.once("end", () => stream.end(GRPC_MESSAGE));
  });
  return listen(server, "http");
}

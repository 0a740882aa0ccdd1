import http2 from "node:http2";

import { Failure } from "../shim/errors.js";
import { type KeptLoad, sum } from "./load.js";

export interface Http2Request {
  readonly headers: http2.OutgoingHttpHeaders;
  readonly body?: Buffer;
  /** The answer's trailers must say this of `grpc-status`. */
  readonly grpcStatus?: string;
}

/** As `keepOpen`, over HTTP/2 in clear text: an answer must be a 200, and of the `grpc-status` that was asked for. */
export function keepOpenHttp2(port: number, connections: number): KeptLoad<Http2Request> {
  const sessions = Array.from({ length: connections }, () => {
    // Of an error the running request says.
    return http2.connect(`http://127.0.0.1:${port}`).on("error", () => undefined);
  });
  return {
    run: async (next) => sum(await Promise.all(sessions.map((session) => exchange(session, next)))),
    close: () => sessions.forEach((session) => session.destroy()),
  };
}

async function exchange(session: http2.ClientHttp2Session, next: () => Http2Request | undefined): Promise<number> {
  let count = 0;
  for (let request = next(); request !== undefined; request = next()) {
    await send(session, request);
    count += 1;
  }
  return count;
}

function send(session: http2.ClientHttp2Session, { headers, body, grpcStatus }: Http2Request): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let status: number | undefined;
    let grpc: string | undefined;
    stream.on("response", (answer) => (status = answer[":status"]));
    stream.on("trailers", (trailers: http2.IncomingHttpHeaders) => (grpc = trailers["grpc-status"]?.toString()));
    stream.on("error", reject);
    stream.on("close", () => {
      if (status === 200 && grpc === grpcStatus) resolve();
      else reject(new Failure(`An answer was ${status}, grpc-status ${grpc ?? "none"}.`));
    });
    stream.resume();
    if (body !== undefined) stream.end(body);
  });
}

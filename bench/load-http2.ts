import { once } from "node:events";
import http2 from "node:http2";

/** Closed-loop load over HTTP/2 in clear text. */
export interface Http2Load {
  readonly port: number;
  /** Kept connections, each with one request at a time. */
  readonly connections: number;
  /** Headers and body of the next request; undefined: that was all. */
  readonly next: () => Http2Request | undefined;
}

export interface Http2Request {
  readonly headers: http2.OutgoingHttpHeaders;
  readonly body?: Buffer;
  /** The answer's trailers must say this of `grpc-status`. */
  readonly grpcStatus?: string;
}

/** As `sendClosedLoop`, over HTTP/2. @throws Error if an answer is no 200, or of another `grpc-status` than asked for */
export async function sendClosedLoopHttp2({ port, connections, next }: Http2Load): Promise<number> {
  const counts = await Promise.all(Array.from({ length: connections }, () => exchange(port, next)));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function exchange(port: number, next: Http2Load["next"]): Promise<number> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  let count = 0;
  try {
    for (let request = next(); request !== undefined; request = next()) {
      await send(session, request);
      count += 1;
    }
    return count;
  } finally {
    session.close();
    await once(session, "close");
  }
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
      else reject(new Error(`the answer was ${status}, grpc-status ${grpc ?? "none"}`));
    });
    stream.resume();
    if (body !== undefined) stream.end(body);
  });
}

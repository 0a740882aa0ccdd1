import { once } from "node:events";
import type http2 from "node:http2";

/** A message as gRPC frames it: not compressed, its length, itself. */
export function frame(message: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(Buffer.byteLength(message), 1);
  return Buffer.concat([prefix, Buffer.from(message)]);
}

/** The messages of a stream, one by one as they come. */
export class Messages {
  private received = Buffer.alloc(0);
  private ended = false;
  private wake: () => void = () => undefined;

  constructor(stream: http2.Http2Stream) {
    stream.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    stream.on("end", () => {
      this.ended = true;
      this.wake();
    });
  }

  /** The next message; undefined at the end. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const size = this.received.length < 5 ? Infinity : 5 + this.received.readUInt32BE(1);
      if (this.received.length >= size) {
        const message = this.received.subarray(5, size).toString();
        this.received = this.received.subarray(size);
        return message;
      }
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

export interface Call {
  readonly stream: http2.ClientHttp2Stream;
  readonly messages: Messages;
  readonly headers: Promise<http2.IncomingHttpHeaders>;
  readonly trailers: Promise<http2.IncomingHttpHeaders>;
}

/** Begins a gRPC call. */
export function startCall(
  session: http2.ClientHttp2Session,
  authority: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Call {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    ":authority": authority,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const first = (event: string): Promise<http2.IncomingHttpHeaders> =>
    once(stream, event).then(([values]) => values as http2.IncomingHttpHeaders);
  const trailers = first("trailers");
  // Not every call has trailers: who does not ask for them shall not hear that none came.
  trailers.catch(() => undefined);
  return { stream, messages: new Messages(stream), headers: first("response"), trailers };
}

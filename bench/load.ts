import { connect, type Socket } from "node:net";

/** Closed-loop load over HTTP/1.1: as much as the other side takes. For figures of CPU, which do not depend on who sends. */
export interface Load {
  /** At 127.0.0.1. */
  readonly port: number;
  /** Kept connections, each with one request at a time. */
  readonly connections: number;
  /** The bytes of the next request; undefined: that was all. */
  readonly next: () => Buffer | undefined;
}

const END_OF_HEAD = "\r\n\r\n";

/**
 * Sends requests, on each connection the next as soon as the answer to the last is there, and returns how many were answered. Plain
 * sockets, since a full client would take the CPU that the measured Envoy needs: answers must have a `content-length`.
 *
 * @throws Error if an answer is no 200
 */
export async function sendClosedLoop({ port, connections, next }: Load): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: connections }, () => exchange(connect(port, "127.0.0.1"), next)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** `next` of a load that ends `durationMs` from now. */
export function during<T>(durationMs: number, request: () => T): () => T | undefined {
  const end = performance.now() + durationMs;
  return () => (performance.now() < end ? request() : undefined);
}

/** The bytes of a request without a body. */
export function requestBytes(host: string, headers: Readonly<Record<string, string>>, path = "/v1/models"): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`);
}

function exchange(socket: Socket, next: () => Buffer | undefined): Promise<number> {
  let count = 0;
  let pending = "";
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const send = (): void => {
      const request = next();
      if (request === undefined) socket.end(() => resolve(count));
      else socket.write(request);
    };
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("the connection ended before the answer")));
    socket.once("connect", send);
    socket.on("data", (chunk: Buffer) => {
      pending += chunk.toString("latin1");
      const size = answerSize(pending);
      if (size < 0 || pending.length < size) return;
      if (!pending.startsWith("HTTP/1.1 200 ")) {
        socket.destroy();
        reject(new Error(`the answer was ${pending.slice(0, 200)}`));
        return;
      }
      pending = pending.slice(size);
      count += 1;
      send();
    });
  });
}

/** Bytes of the first answer in `text`, headers and body; -1 while its headers are not whole. */
export function answerSize(text: string): number {
  const headers = text.indexOf(END_OF_HEAD);
  if (headers < 0) return -1;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, headers));
  return headers + END_OF_HEAD.length + Number(length?.[1] ?? 0);
}

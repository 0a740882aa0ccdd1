import { connect, type Socket } from "node:net";

/** One kind of request, sent over and over. */
export interface Load {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  readonly durationMs: number;
}

/**
 * Sends requests over kept HTTP/1.1 connections, the next as soon as the answer to the last is there, and returns how many
 * were answered. Plain sockets, since a full client would take the CPU that the measured Envoy needs: answers must have a
 * `content-length` and all be of one status.
 *
 * @throws Error if an answer is no 200
 */
export async function apply({ port, host, connections, durationMs }: Load): Promise<number> {
  const request = Buffer.from(`GET /v1/models HTTP/1.1\r\nhost: ${host}\r\nuser-agent: bench\r\naccept: */*\r\n\r\n`);
  const end = performance.now() + durationMs;
  const counts = await Promise.all(
    Array.from({ length: connections }, () => exchange(connect(port, "127.0.0.1"), request, end)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

function exchange(socket: Socket, request: Buffer, end: number): Promise<number> {
  let count = 0;
  let pending = "";
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("connect", () => socket.write(request));
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
      if (performance.now() < end) socket.write(request);
      else socket.end(() => resolve(count));
    });
  });
}

/** Bytes of the first answer in `text`, headers and body; -1 while its headers are not whole. */
function answerSize(text: string): number {
  const headers = text.indexOf("\r\n\r\n");
  if (headers < 0) return -1;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, headers));
  return headers + 4 + Number(length?.[1] ?? 0);
}

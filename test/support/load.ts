import net from "node:net";

import { listen, type LocalServer } from "../../shim/local/server.js";

const END_OF_HEAD = "\r\n\r\n";

/**
 * A service that is as cheap as can be: HTTP/1.1 without request bodies. `answer` gets the request's head as it came over
 * the wire and returns the body of the answer; `lines` returns header lines of it, each with its line end.
 */
export function startCheapService(
  answer: (head: string) => string,
  lines: (head: string) => string = () => "",
): Promise<LocalServer> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    let received = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      for (let end = received.indexOf(END_OF_HEAD); end >= 0; end = received.indexOf(END_OF_HEAD)) {
        const head = received.slice(0, end);
        const body = answer(head);
        received = received.slice(end + END_OF_HEAD.length);
        const answered = `HTTP/1.1 200 OK\r\n${lines(head)}content-length: ${body.length}\r\n\r\n${body}`;
        socket.write(Buffer.from(answered, "latin1"));
      }
    });
  });
  return listen(server, "http");
}

export interface Load {
  /** At 127.0.0.1. */
  readonly port: number;
  /** Kept connections, each with one request at a time. */
  readonly connections: number;
  /** Requests to send in all. */
  readonly count: number;
  /** The lines of request `index` behind `GET / HTTP/1.1`, without the empty one. */
  readonly head: (index: number) => string;
  /** The answer to request `index`: its status line and headers, and its body. */
  onAnswer(index: number, head: string, body: string): void;
}

/** Sends many requests, and resolves when all are answered. @throws Error if a connection ends before that. */
export async function sendLoad(load: Load): Promise<void> {
  let next = 0;
  const take = (): number | undefined => (next < load.count ? next++ : undefined);
  await Promise.all(Array.from({ length: load.connections }, () => sendOn(load, take)));
}

function sendOn(load: Load, take: () => number | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port: load.port, noDelay: true });
    let index: number | undefined;
    let received = "";
    const send = (): void => {
      index = take();
      if (index === undefined) {
        resolve();
        socket.destroy();
      } else socket.write(`GET / HTTP/1.1\r\n${load.head(index)}\r\n\r\n`);
    };
    socket.on("connect", send);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      const end = received.indexOf(END_OF_HEAD);
      if (end < 0 || index === undefined) return;
      const length = Number(/^content-length: (\d+)/im.exec(received.slice(0, end))?.[1] ?? NaN);
      if (Number.isNaN(length)) return void socket.destroy(new Error(`an answer without a length: ${received}`));
      const whole = end + END_OF_HEAD.length + length;
      if (received.length < whole) return;
      load.onAnswer(index, received.slice(0, end), received.slice(end + END_OF_HEAD.length, whole));
      received = received.slice(whole);
      send();
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`the connection ended in request ${index ?? "none"}`)));
  });
}

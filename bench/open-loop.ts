import { connect, type Socket } from "node:net";

import type { Generator, Latencies, OpenLoop } from "./generator.js";
import { answerSize, requestBytes } from "./load.js";

/** Connections: as many requests can be under way; more wait for one to be free, and their waiting counts. */
const CONNECTIONS = 64;
/** How long answers may still take when the last request is due. */
const GRACE_MS = 2000;

/** Needs nothing but Node. */
export function nodeGenerator(): Generator {
  return { name: "node", send: sendOpenLoop };
}

/**
 * Sends requests when they are due, on kept HTTP/1.1 connections, and measures each from the time at which it was due: a request
 * that had to wait because others were slow is slow too (no coordinated omission). It keeps one core busy, since timers are too coarse.
 *
 * @throws Error if an answer is no 200
 */
async function sendOpenLoop({ port, ratePerSec, durationMs, host, headers }: OpenLoop): Promise<Latencies> {
  const request = requestBytes(host, headers);
  const total = Math.round((ratePerSec * durationMs) / 1000);
  const latencies = new Float64Array(total);
  let answered = 0;
  const free: Connection[] = [];
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => openConnection(port)));
  for (const connection of connections) {
    free.push(connection);
    connection.onAnswer = (dueMs) => {
      latencies[answered] = (performance.now() - dueMs) * 1000;
      answered += 1;
      free.push(connection);
    };
  }
  const startMs = performance.now() + 1;
  let sent = 0;
  await new Promise<void>((resolve, reject) => {
    for (const connection of connections) connection.onError = reject;
    const turn = (): void => {
      const nowMs = performance.now();
      for (let dueMs = due(sent); sent < total && dueMs <= nowMs; dueMs = due(sent)) {
        const connection = free.pop();
        if (connection === undefined) break;
        sent += 1;
        connection.send(request, dueMs);
      }
      if (answered === total || nowMs > startMs + durationMs + GRACE_MS) resolve();
      else setImmediate(turn);
    };
    const due = (index: number): number => startMs + (index * 1000) / ratePerSec;
    turn();
  });
  for (const connection of connections) connection.close();
  return { latencies_us: latencies.subarray(0, answered), unanswered: total - answered };
}

class Connection {
  onAnswer: (dueMs: number) => void = () => undefined;
  onError: (error: Error) => void = () => undefined;
  private dueMs = 0;
  private pending = "";

  constructor(private readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("error", (error) => this.onError(error));
    socket.on("close", () => this.onError(new Error("the connection ended before the answer")));
  }

  send(request: Buffer, dueMs: number): void {
    this.dueMs = dueMs;
    this.socket.write(request);
  }

  close(): void {
    this.onError = () => undefined;
    this.socket.destroy();
  }

  private receive(chunk: Buffer): void {
    this.pending += chunk.toString("latin1");
    const size = answerSize(this.pending);
    if (size < 0 || this.pending.length < size) return;
    const isOk = this.pending.startsWith("HTTP/1.1 200 ");
    const head = this.pending.slice(0, 200);
    this.pending = this.pending.slice(size);
    if (isOk) this.onAnswer(this.dueMs);
    else this.onError(new Error(`the answer was ${head}`));
  }
}

function openConnection(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => resolve(new Connection(socket)));
  });
}

import { connect, type Socket } from "node:net";

import { type Generator, type Latencies, LEAD_IN_MS, type OpenLoop, PATIENCE_MS } from "./generator.js";
import { answerSize, requestBytes } from "./load.js";

/** Connections: as many requests can be under way; more wait for one to be free, and their waiting counts. */
const CONNECTIONS = 64;

/** Needs nothing but Node. */
export function nodeGenerator(): Generator {
  return { name: "node", send: sendOpenLoop };
}

/**
 * Sends requests when they are due, on kept HTTP/1.1 connections, and measures each from the time at which it was due: a request
 * that had to wait because others were slow is slow too (no coordinated omission). It keeps one core busy, since timers are too coarse.
 *
 * @throws Error if a connection ends
 */
async function sendOpenLoop({ port, ratePerSec, durationMs, host, headers }: OpenLoop): Promise<Latencies> {
  const request = requestBytes(host, headers);
  const wholeMs = LEAD_IN_MS + durationMs;
  const total = Math.round((ratePerSec * wholeMs) / 1000);
  const latencies = new Float64Array(total);
  let [ended, answered, sent, counted] = [0, 0, 0, 0];
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => openConnection(port)));
  const free = [...connections];
  const startMs = performance.now() + 1;
  const countsFromMs = startMs + LEAD_IN_MS;
  const due = (index: number): number => startMs + (index * 1000) / ratePerSec;
  for (let index = 0; index < total; index++) if (due(index) >= countsFromMs) counted += 1;
  try {
    await new Promise<void>((resolve, reject) => {
      for (const connection of connections) {
        connection.onError = reject;
        connection.onAnswer = (dueMs, isOk) => {
          ended += 1;
          free.push(connection);
          if (isOk && dueMs >= countsFromMs) latencies[answered++] = (performance.now() - dueMs) * 1000;
        };
      }
      const turn = (): void => {
        const nowMs = performance.now();
        for (let dueMs = due(sent); sent < total && dueMs <= nowMs; dueMs = due(sent)) {
          const connection = free.pop();
          if (connection === undefined) break;
          sent += 1;
          connection.send(request, dueMs);
        }
        if (ended === total || nowMs > startMs + wholeMs + PATIENCE_MS) resolve();
        else setImmediate(turn);
      };
      turn();
    });
  } finally {
    for (const connection of connections) connection.close();
  }
  return { latencies_us: latencies.subarray(0, answered), unanswered: counted - answered };
}

class Connection {
  onAnswer: (dueMs: number, isOk: boolean) => void = () => undefined;
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
    this.pending = this.pending.slice(size);
    this.onAnswer(this.dueMs, isOk);
  }
}

function openConnection(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => resolve(new Connection(socket)));
  });
}

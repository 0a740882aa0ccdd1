import { connect, type Socket } from "node:net";

import { Failure } from "../shim/errors.js";

/** Load on connections that stay open from one turn to the next: what connecting costs is in no figure. */
export interface KeptLoad<Request> {
  /**
   * Sends, on each connection the next request as soon as the answer to the last is there, until `next` gives none; returns how many
   * were answered. @throws Failure if an answer is not what it should be
   */
  readonly run: (next: () => Request | undefined) => Promise<number>;
  readonly close: () => void;
}

const END_OF_HEAD = "\r\n\r\n";

/**
 * Closed-loop load over HTTP/1.1, at 127.0.0.1: as much as the other side takes. Requests are bytes, sent on plain sockets, since a full
 * client would take the CPU that the measured Envoy needs: answers must have a `content-length`, and be a 200.
 */
export function keepOpen(port: number, connections: number): KeptLoad<Buffer> {
  const kept = Array.from({ length: connections }, () => new Connection(connect(port, "127.0.0.1")));
  return {
    run: async (next) => sum(await Promise.all(kept.map((connection) => connection.run(next)))),
    close: () => kept.forEach((connection) => connection.close()),
  };
}

/** `keepOpen` for one turn. */
export async function sendClosedLoop(load: {
  readonly port: number;
  readonly connections: number;
  readonly next: () => Buffer | undefined;
}): Promise<number> {
  const kept = keepOpen(load.port, load.connections);
  try {
    return await kept.run(load.next);
  } finally {
    kept.close();
  }
}

export function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/** `next` of a load that ends `durationMs` after its first request. */
export function during<T>(durationMs: number, request: () => T): () => T | undefined {
  let endMs = NaN;
  return () => {
    const nowMs = performance.now();
    if (Number.isNaN(endMs)) endMs = nowMs + durationMs;
    return nowMs <= endMs ? request() : undefined;
  };
}

/** `next` of a load of `count` requests. */
export function counted<T>(count: number, request: () => T): () => T | undefined {
  let left = count;
  return () => (left-- > 0 ? request() : undefined);
}

/** The bytes of a request without a body. */
export function requestBytes(host: string, headers: Readonly<Record<string, string>>, path = "/v1/models"): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`);
}

/** What a connection is doing in this turn. */
interface Turn {
  readonly next: () => Buffer | undefined;
  readonly resolve: (count: number) => void;
  readonly reject: (error: Error) => void;
}

class Connection {
  private turn: Turn | undefined;
  private count = 0;
  private pending = "";
  private ended: Error | undefined;

  constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.once("error", (error) => this.fail(error));
    socket.once("close", () => this.fail(new Failure("A connection ended before its answer.")));
  }

  run(next: Turn["next"]): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(this.ended);
        return;
      }
      this.count = 0;
      this.turn = { next, resolve, reject };
      this.sendNext(this.turn);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private sendNext({ next, resolve }: Turn): void {
    const request = next();
    if (request === undefined) {
      this.turn = undefined;
      resolve(this.count);
    } else {
      this.socket.write(request);
    }
  }

  private receive(chunk: Buffer): void {
    this.pending += chunk.toString("latin1");
    const size = answerSize(this.pending);
    if (size < 0 || this.pending.length < size) return;
    if (!this.pending.startsWith("HTTP/1.1 200 ")) {
      this.fail(new Failure(`An answer was no 200: ${this.pending.slice(0, 200)}`));
      this.socket.destroy();
      return;
    }
    this.pending = this.pending.slice(size);
    this.count += 1;
    if (this.turn !== undefined) this.sendNext(this.turn);
  }

  private fail(error: Error): void {
    this.ended ??= error;
    this.turn?.reject(this.ended);
    this.turn = undefined;
  }
}

/** Bytes of the first answer in `text`, headers and body; -1 while its headers are not whole. */
export function answerSize(text: string): number {
  const headers = text.indexOf(END_OF_HEAD);
  if (headers < 0) return -1;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, headers));
  return headers + END_OF_HEAD.length + Number(length?.[1] ?? 0);
}

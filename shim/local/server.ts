/**
 * What the servers of the local mesh share: they listen on loopback only, have bounds on everything
 * a client can send, and end all their sockets at once when closed.
 */

import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import { Failure } from "../errors.js";

const LOOPBACK = "127.0.0.1";

/** Limits of every HTTP/1.1 server here, in milliseconds and bytes. */
export const HTTP_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 300_000,
  // Longer than any pause of a demonstration: a server that closes an idle connection races with
  // the request that a proxy is just putting on it.
  keepAliveTimeout: 600_000,
  maxHeaderSize: 32_768,
} as const;

const MAX_CONNECTIONS = 1024;
const MAX_LOG_ENTRIES = 10_000;

export interface LocalServer {
  readonly port: number;
  /** Such as `http://127.0.0.1:40001`. */
  readonly origin: string;
  /** Stops listening and ends every connection, also those in the middle of an answer. May be called twice. */
  close(): Promise<void>;
}

/** A server certificate and its private key, both PEM. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/**
 * Starts an HTTP/1.1 server, over TLS where `tls` is given. `port` 0 takes a free one.
 * @throws Failure if the port cannot be had.
 */
export async function startHttpServer(
  handler: Handler,
  options: { port?: number | undefined; tls?: TlsIdentity | undefined } = {},
): Promise<LocalServer> {
  const listener = guarded(handler);
  const { port, tls } = options;
  const server = tls
    ? https.createServer({ ...HTTP_LIMITS, cert: tls.certificate, key: tls.key }, listener)
    : http.createServer(HTTP_LIMITS, listener);
  return listen(server, tls ? "https" : "http", port);
}

/** Lets a server of any protocol listen on loopback. @throws Failure if the port cannot be had. */
export async function listen(server: Server, scheme: "http" | "https", port = 0): Promise<LocalServer> {
  const sockets = new Set<Socket>();
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(cannotListen(port, cause)));
    server.listen(port, LOOPBACK, resolve);
  });
  const bound = (server.address() as AddressInfo).port;

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
    return closed;
  };
  return { port: bound, origin: `${scheme}://${LOOPBACK}:${bound}`, close };
}

function cannotListen(port: number, cause: NodeJS.ErrnoException): Failure {
  const why = cause.code === "EADDRINUSE" ? "is taken by another program" : `cannot be used: ${cause.message}`;
  return new Failure(`port ${port} on ${LOOPBACK} ${why}`, { fix: "give another port, or 0 for a free one", cause });
}

/** A handler that throws answers 500, or ends the connection if its answer has begun. */
function guarded(handler: Handler): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    void (async () => {
      try {
        await handler(request, response);
      } catch {
        if (response.headersSent) response.destroy();
        else response.writeHead(500).end();
      }
    })();
  };
}

/** Path and query of a request; a request target that is no URL becomes the path `/invalid`. */
export function requestUrl({ url = "" }: { url?: string | undefined }): URL {
  const base = "http://localhost";
  return URL.canParse(url, base) ? new URL(url, base) : new URL("/invalid", base);
}

/** A signal that aborts when the answer is complete or its client has gone. */
export function endOf(response: { once(event: "close", listener: () => void): unknown }): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  return controller.signal;
}

/** Waits; rejects with an AbortError when `signal` aborts, so that no timer outlives its request. */
export async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  if (durationMs > 0) await delay(durationMs, undefined, { signal });
}

/** Appends to a log that a test reads, dropping the oldest entries beyond 10,000. */
export function remember<T>(log: T[], entry: T): void {
  if (log.length >= MAX_LOG_ENTRIES) log.shift();
  log.push(entry);
}

export function escapeHtml(value: string): string {
  return value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Plain HTTP clients for the tests of the local mesh: real sockets, no keep-alive between tests. */

import http, { type IncomingHttpHeaders } from "node:http";
import https from "node:https";

import { afterEach } from "vitest";

import type { LocalServer } from "../../../shim/local/server.js";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** The root that a TLS server must chain to, PEM. */
  readonly ca?: string;
  /** The name sent as SNI and checked against the certificate. */
  readonly servername?: string;
}

/** Sends a request to a path of an origin. */
export function send(origin: string, path: string, options: RequestOptions = {}): Promise<Reply> {
  const { method = "GET", headers = {}, body, ca, servername } = options;
  return new Promise((resolve, reject) => {
    const common = { method, path, headers, agent: false as const };
    const { hostname, port, protocol } = new URL(origin);
    const request =
      protocol === "https:"
        ? https.request({ ...common, hostname, port, ca, ...(servername === undefined ? {} : { servername }) })
        : http.request({ ...common, hostname, port });
    request.once("error", reject);
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.end(body);
  });
}

export function postJson(origin: string, path: string, value: unknown, headers = {}): Promise<Reply> {
  return send(origin, path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(value),
  });
}

/** Returns `keep`: what it is given is closed after the test that started it. */
export function closedAfterEach(): <T extends Pick<LocalServer, "close">>(starting: Promise<T>) => Promise<T> {
  const open: Pick<LocalServer, "close">[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((server) => server.close()));
  });
  return async (starting) => {
    const server = await starting;
    open.push(server);
    return server;
  };
}

/** A promise to be settled from outside. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** The endpoint at which Google publishes its public keys: https://www.googleapis.com/oauth2/v3/certs. */

import type { JSONWebKeySet } from "jose";

import { startHttpServer, type LocalServer, type TlsIdentity } from "./server.js";

export const JWKS_PATH = "/oauth2/v3/certs";

/** Google's varies between about five and seven hours. */
const MAX_AGE_SEC = 21_600;

export interface JwksOptions {
  /** The key set of the moment (RFC 7517). */
  readonly keys: () => JSONWebKeySet;
  readonly tls?: TlsIdentity;
  readonly port?: number;
}

export interface JwksServer extends LocalServer {
  /** How often the key set was asked for. */
  requests(): number;
}

/** Serves `GET /oauth2/v3/certs`, over TLS where `tls` is given. @throws Failure if the port cannot be had. */
export async function startJwks({ keys, tls, port }: JwksOptions): Promise<JwksServer> {
  let requests = 0;
  const server = await startHttpServer(
    (request, response) => {
      if (request.method !== "GET" || request.url?.split("?", 1)[0] !== JWKS_PATH) {
        response.writeHead(404).end();
        return;
      }
      requests++;
      response.setHeader("content-type", "application/json; charset=UTF-8");
      response.setHeader("cache-control", `public, max-age=${MAX_AGE_SEC}, must-revalidate, no-transform`);
      response.end(JSON.stringify(keys(), undefined, 2));
    },
    { port, tls },
  );
  return { ...server, requests: () => requests };
}

/** The endpoint at which an issuer publishes its public keys, such as Google's: https://www.googleapis.com/oauth2/v3/certs. */

import type { JSONWebKeySet } from "jose";

import { requestUrl, startHttpServer, type LocalServer, type TlsIdentity } from "./server.js";

/** Where Google has its keys. */
export const JWKS_PATH = "/oauth2/v3/certs";

/** Google's varies between about five and seven hours. */
const MAX_AGE_SEC = 21_600;

export interface JwksOptions {
  /** The key set of the moment (RFC 7517) at a path; undefined where there is none. */
  readonly keys: (path: string) => JSONWebKeySet | undefined;
  readonly tls?: TlsIdentity;
  readonly port?: number;
}

export interface JwksServer extends LocalServer {
  /** How often the key set was asked for. */
  requests(): number;
}

/** Serves key sets, over TLS where `tls` is given. @throws Failure if the port cannot be had. */
export async function startJwks({ keys, tls, port }: JwksOptions): Promise<JwksServer> {
  let requests = 0;
  const server = await startHttpServer(
    (request, response) => {
      const set = request.method === "GET" ? keys(requestUrl(request).pathname) : undefined;
      if (set === undefined) {
        response.writeHead(404).end();
        return;
      }
      requests++;
      response.setHeader("content-type", "application/json; charset=UTF-8");
      response.setHeader("cache-control", `public, max-age=${MAX_AGE_SEC}, must-revalidate, no-transform`);
      response.end(JSON.stringify(set, undefined, 2));
    },
    { port, tls },
  );
  return { ...server, requests: () => requests };
}

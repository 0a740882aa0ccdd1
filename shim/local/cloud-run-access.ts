/**
 * Who may invoke a Cloud Run service: what Google's front end checks before a request reaches a container.
 * https://cloud.google.com/run/docs/authenticating/service-to-service
 */

import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet } from "jose";

import type { TlsIdentity } from "./server.js";

export const SERVERLESS_AUTHORIZATION = "x-serverless-authorization";
const GOOGLE_ISSUER = "https://accounts.google.com";
/** What the container sees in place of the signature of a token that the front end accepted. */
export const REMOVED_SIGNATURE = "SIGNATURE_REMOVED_BY_GOOGLE";

/** A deployed service. */
export interface CloudRunService {
  /** The `aud` values it accepts: its URL and any custom audiences. */
  readonly audiences: readonly string[];
  /** Emails that hold `roles/run.invoker`; `all` is `allUsers`, a service that checks nobody. */
  readonly invokers: readonly string[] | "all";
  /** Origin of what runs in it, such as `http://127.0.0.1:8080`. */
  readonly container: string;
}

export interface CloudRunOptions {
  /** By host name, lower-case. */
  readonly services: Readonly<Record<string, CloudRunService>>;
  /** The key set of the moment (RFC 7517). */
  readonly keys: () => JSONWebKeySet;
  readonly tls: TlsIdentity;
  /** The `iss` that tokens must have. Default https://accounts.google.com. */
  readonly issuer?: string;
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number;
  /** How long the first request that a service admits waits for its container. Default 0. */
  readonly coldStartMs?: number;
  /** Added to each request on its way in: the network between mesh and Google. Default 0. */
  readonly latencyMs?: number;
  readonly port?: number;
}

/** Why a request was refused. The client is told only 401 or 403, as by the real front end. */
export type Refusal =
  | "token_missing"
  | "token_malformed"
  | "token_algorithm"
  | "token_signature"
  | "token_issuer"
  | "token_audience"
  | "token_expired"
  | "token_claims"
  | "caller_not_invoker";

export type Decision =
  | { readonly allowed: true; /** Headers to replace before the container sees them. */ readonly headers: HeaderPatch }
  | { readonly allowed: false; readonly status: 401 | 403; readonly reason: Refusal };

type HeaderPatch = Readonly<Record<string, string>>;
type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;
type KeyLookup = ReturnType<typeof createLocalJWKSet>;

/** Returns the function that decides about requests to one of the services. */
export function createAccessCheck(
  options: Pick<CloudRunOptions, "keys" | "issuer" | "now">,
): (service: CloudRunService, headers: Headers) => Promise<Decision> {
  const { keys, issuer = GOOGLE_ISSUER, now = Date.now } = options;
  const lookup = cachedLookup(keys);

  return async (service, headers) => {
    if (service.invokers === "all") return { allowed: true, headers: {} };
    // The serverless header wins, so that a caller can keep `authorization` for the application.
    const name = headers[SERVERLESS_AUTHORIZATION] === undefined ? "authorization" : SERVERLESS_AUTHORIZATION;
    const value = headers[name];
    if (value === undefined || value === "") return refuse(403, "token_missing");
    const credential = /^(bearer) +(\S+)$/i.exec(String(value));
    if (credential === null) return refuse(401, "token_malformed");
    const [, scheme = "", token = ""] = credential;

    try {
      const { payload } = await jwtVerify(token, lookup(), {
        algorithms: ["RS256"],
        issuer,
        audience: [...service.audiences],
        requiredClaims: ["exp"],
        currentDate: new Date(now()),
      });
      if (payload.email_verified !== true || !service.invokers.includes(String(payload.email))) {
        return refuse(403, "caller_not_invoker");
      }
    } catch (error) {
      return refuse(401, reasonFor(error));
    }
    return { allowed: true, headers: { [name]: `${scheme} ${withoutSignature(token)}` } };
  };
}

/** Importing a key costs more than a verification, so one lookup serves until the key set is another. */
function cachedLookup(keys: () => JSONWebKeySet): () => KeyLookup {
  let latest: { set: JSONWebKeySet; lookup: KeyLookup } | undefined;
  return () => {
    const set = keys();
    if (latest?.set !== set) latest = { set, lookup: createLocalJWKSet(set) };
    return latest.lookup;
  };
}

function refuse(status: 401 | 403, reason: Refusal): Decision {
  return { allowed: false, status, reason };
}

function withoutSignature(token: string): string {
  return token.slice(0, token.lastIndexOf(".") + 1) + REMOVED_SIGNATURE;
}

function reasonFor(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) return "token_expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "iss") return "token_issuer";
    return error.claim === "aud" ? "token_audience" : "token_claims";
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return "token_algorithm";
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey) {
    return "token_signature";
  }
  return "token_malformed";
}

/** Why a request has no response, in words: which request, at which step, what to look at. */

import { Failure } from "../errors.js";

/** How far a request has come. The client moves `step` along. */
export interface Where {
  /** Method and URL, as they may be shown. */
  readonly request: string;
  /** Host and port of the connection. */
  address: string;
  step: "connect" | "headers" | "body";
}

const AWAITED: Readonly<Record<Where["step"], string>> = {
  connect: "no connection",
  headers: "connected, but no response headers",
  body: "response headers came, but not the end of the body",
};

/** Codes of OpenSSL and of Node's name check, as far as servers with a private CA meet them. */
const CERTIFICATE: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "is signed by an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "is signed by an authority that is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "is signed by an authority that is not trusted",
  DEPTH_ZERO_SELF_SIGNED_CERT: "is signed by itself and not trusted",
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not yet valid",
  ERR_TLS_CERT_ALTNAME_INVALID: "is for another name",
};

export function timedOut(where: Where, timeoutMs: number): Failure {
  return new Failure(
    `${where.request}: timed out after ${String(timeoutMs)} ms (${where.address}): ${AWAITED[where.step]}`,
  );
}

export function cancelled(where: Where, cause: unknown): Failure {
  return new Failure(`${where.request}: cancelled`, { cause });
}

/** A connection that could not be made, or that broke. */
export function broken(where: Where, cause: unknown): Failure {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
  const reason = cause instanceof Error ? cause.message : String(cause);
  const fail = (what: string, fix?: string): Failure =>
    new Failure(`${where.request}: ${what}`, { cause, ...(fix !== undefined && { fix }) });

  const certificate = CERTIFICATE[code];
  if (certificate !== undefined) {
    return fail(`the certificate of ${where.address} ${certificate} (${reason})`, certificateFix(certificate));
  }
  if (code === "ECONNREFUSED")
    return fail(`connection refused at ${where.address}`, "see that the server runs and listens there");
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return fail(
      `the host of ${where.address} has no address (${code})`,
      "say where it is with --resolve HOST:PORT:ADDRESS",
    );
  if (code === "ECONNRESET" || code === "EPIPE")
    return fail(`${where.address} closed the connection: ${AWAITED[where.step]}`);
  return fail(`${where.address}: ${reason}`);
}

function certificateFix(certificate: string): string {
  if (certificate.endsWith("trusted")) return "give the CA that signed it with --cacert FILE";
  if (certificate.endsWith("name"))
    return "use a host that the certificate names; --resolve HOST:PORT:ADDRESS connects elsewhere";
  return "renew it, or set the clock";
}

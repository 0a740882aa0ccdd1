import type { Validator } from "../config/model.js";

/** What a token says, as far as it may be shown: nothing in here lets anybody call. */
export interface TokenFacts {
  readonly header: string;
  /** Why nothing can be read of it; undefined: it can. */
  readonly fault: string | undefined;
  readonly algorithm: string | undefined;
  readonly issuer: string | undefined;
  readonly audiences: readonly string[];
  /** Seconds since the epoch. */
  readonly expiresSec: number | undefined;
  readonly notBeforeSec: number | undefined;
  readonly lifetimeSec: number | undefined;
  readonly hasEmail: boolean;
  readonly isEmailVerified: boolean;
  /** Compared, never shown. */
  readonly email: string | undefined;
}

const AUTHORIZATION = "authorization";
const SERVERLESS = "x-serverless-authorization";

type Headers = readonly (readonly [name: string, value: string])[];

/** The token that a validator would look at; undefined: there is none. */
export function tokenFor(validator: Pick<Validator, "header">, headers: Headers): TokenFacts | undefined {
  const usual = headers.some(([name]) => name === SERVERLESS) ? SERVERLESS : AUTHORIZATION;
  const header = validator.header?.toLowerCase() ?? usual;
  const value = headers.find(([name]) => name === header)?.[1];
  return value === undefined ? undefined : factsOf(header, value);
}

const NOTHING = {
  algorithm: undefined,
  issuer: undefined,
  audiences: [],
  expiresSec: undefined,
  notBeforeSec: undefined,
  lifetimeSec: undefined,
  hasEmail: false,
  isEmailVerified: false,
  email: undefined,
};

function factsOf(header: string, value: string): TokenFacts {
  const isAuthorization = header === AUTHORIZATION || header === SERVERLESS;
  const [, bearer] = /^bearer +(\S+)$/i.exec(value) ?? [];
  const token = bearer ?? (isAuthorization ? undefined : value);
  if (token === undefined) return { ...NOTHING, header, fault: "it is no Bearer token" };
  const parts = token.split(".");
  const [head, claims] = [objectIn(parts[0]), objectIn(parts[1])];
  if (parts.length !== 3 || head === undefined || claims === undefined)
    return { ...NOTHING, header, fault: "it is no JWT" };
  const { iss, aud, exp, nbf, iat, email, email_verified: verified } = claims;
  return {
    header,
    fault: parts[2] === "SIGNATURE_REMOVED_BY_GOOGLE" ? "Cloud Run has taken its signature away" : undefined,
    algorithm: textIn(head["alg"]),
    issuer: textIn(iss),
    audiences: (Array.isArray(aud) ? (aud as unknown[]) : [aud]).flatMap((one) => textIn(one) ?? []),
    expiresSec: numberIn(exp),
    notBeforeSec: numberIn(nbf),
    lifetimeSec: typeof exp === "number" && typeof iat === "number" ? exp - iat : undefined,
    hasEmail: typeof email === "string",
    isEmailVerified: verified === true,
    email: textIn(email),
  };
}

function objectIn(part: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? "", "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function textIn(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberIn(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** In what a token is not what a validator demands. The signature is not looked at: only the proxy has the keys. */
export function faultsOf(token: TokenFacts, validator: Validator, nowMs: number): readonly string[] {
  if (token.fault !== undefined) return [token.fault];
  const nowSec = Math.floor(nowMs / 1000);
  const skew = validator.clockSkewSec;
  const { expiresSec, notBeforeSec, lifetimeSec, issuer = "none", audiences, algorithm = "none" } = token;
  const faults = [
    algorithm === validator.algorithm ? "" : `its algorithm is ${algorithm}, not ${validator.algorithm}`,
    expiresSec === undefined ? "it has no expiry" : "",
    expiresSec !== undefined && expiresSec + skew <= nowSec ? `it expired ${duration(nowSec - expiresSec)} ago` : "",
    notBeforeSec !== undefined && notBeforeSec - skew > nowSec
      ? `it is valid in ${duration(notBeforeSec - nowSec)}`
      : "",
    lifetimeSec !== undefined && lifetimeSec > validator.maxLifetimeSec
      ? `it lasts ${duration(lifetimeSec)}, more than ${duration(validator.maxLifetimeSec)}`
      : "",
    validator.issuers.includes(issuer) ? "" : `its issuer is ${issuer}, not ${validator.issuers.join(" or ")}`,
    audiences.some((audience) => validator.audiences.includes(audience))
      ? ""
      : `its audience is ${audiences.join(", ") || "none"}, not ${validator.audiences.join(" or ")}`,
    emailFault(token, validator),
  ];
  return faults.filter((fault) => fault !== "");
}

/** Whether it is on the list is said, not what it is. */
function emailFault({ email, hasEmail, isEmailVerified }: TokenFacts, { emails }: Validator): string {
  if (!hasEmail && emails.includes("*")) return "";
  if (!hasEmail) return "it has no e-mail address (a token of the metadata server needs format=full)";
  if (!isEmailVerified) return "its e-mail address is not verified";
  const isListed = emails.includes("*") || emails.includes(email ?? "");
  return isListed ? "" : "its e-mail address is not one of the validator's";
}

export function duration(seconds: number): string {
  if (seconds < 120) return `${String(seconds)} s`;
  return seconds < 7200 ? `${String(Math.round(seconds / 60))} min` : `${String(Math.round(seconds / 3600))} h`;
}

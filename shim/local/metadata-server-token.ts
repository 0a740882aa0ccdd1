/** The ID tokens that a metadata server hands out: their claims, and how long it hands out the same one. */

import type { JWTPayload } from "jose";

import type { KeySet } from "./keys.js";

/** The real server gives the same token again until this much of its life remains. */
const REUSE_MARGIN_SEC = 300;
const MAX_KEPT_TOKENS = 1000;
const ISSUER = "https://accounts.google.com";

/** Where the token is asked for. */
export interface Machine {
  readonly email: string;
  readonly platform: "gke" | "gce";
}

export interface IdentityTokenRequest {
  readonly audience: string;
  /** `format=full`: with the account's email, and on a virtual machine with its description. */
  readonly full: boolean;
  /** `licenses=TRUE`: full tokens of a virtual machine name the licenses of its images. */
  readonly licenses: boolean;
}

export interface IssuerOptions {
  readonly keys: KeySet;
  readonly machine: Machine;
  readonly tokenLifetimeSec: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Returns the function that answers requests for tokens, with its own store of those still good to hand out. */
export function issueIdentityToken(options: IssuerOptions): (request: IdentityTokenRequest) => Promise<string> {
  const { keys, machine, tokenLifetimeSec, now } = options;
  const kept = new Map<string, { token: Promise<string>; expiresAtSec: number }>();

  return (request) => {
    const nowSec = Math.floor(now() / 1000);
    const name = JSON.stringify([request.audience, request.full, request.licenses]);
    const known = kept.get(name);
    if (known !== undefined && known.expiresAtSec - nowSec > REUSE_MARGIN_SEC) return known.token;

    const expiresAtSec = nowSec + tokenLifetimeSec;
    const token = keys.sign(claimsOf(request, machine, nowSec, expiresAtSec));
    kept.delete(name);
    for (const oldest of kept.keys()) {
      if (kept.size < MAX_KEPT_TOKENS) break;
      kept.delete(oldest);
    }
    kept.set(name, { token, expiresAtSec });
    return token;
  };
}

export function claimsOf(
  request: Omit<IdentityTokenRequest, "licenses"> & Partial<IdentityTokenRequest>,
  machine: Machine,
  iat: number,
  exp: number,
): JWTPayload {
  const id = accountId(machine.email);
  const claims: JWTPayload = { aud: request.audience, azp: id, exp, iat, iss: ISSUER, sub: id };
  if (!request.full) return claims;
  Object.assign(claims, { email: machine.email, email_verified: true });
  if (machine.platform === "gce") claims.google = { compute_engine: describeMachine(request.licenses === true, iat) };
  return claims;
}

function describeMachine(licenses: boolean, nowSec: number): Record<string, unknown> {
  return {
    instance_creation_timestamp: nowSec - 86_400,
    instance_id: "1234567890123456789",
    instance_name: "local-mesh",
    project_id: "local-mesh",
    project_number: 123_456_789_012,
    zone: "us-central1-a",
    ...(licenses ? { license_id: ["1000000"] } : {}),
  };
}

/** A service account's unique id: 21 digits, the same for the same email. */
function accountId(email: string): string {
  let hash = 0n;
  for (const byte of Buffer.from(email)) hash = (hash * 257n + BigInt(byte)) % 10n ** 20n;
  return `1${hash.toString().padStart(20, "0")}`;
}

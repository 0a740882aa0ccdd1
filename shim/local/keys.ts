/** An issuer's signing keys, as the local mesh has them: what tokens are signed with and everybody else checks against. */

import { randomBytes } from "node:crypto";

import { exportJWK, generateKeyPair, SignJWT, type JSONWebKeySet, type JWTPayload } from "jose";

/** Google signs ID tokens with RS256, Identity-Aware Proxy its assertions with ES256. */
export type Algorithm = "RS256" | "ES256";

export interface KeySet {
  /** Signs claims as they are, with `kid`. */
  readonly sign: (claims: JWTPayload) => Promise<string>;
  /** The public keys (RFC 7517), newest first; the same object until the next rotation. */
  readonly jwks: () => JSONWebKeySet;
  /** Signs with a new key from now on. The key before stays published, older ones go, as with Google's. */
  readonly rotate: () => Promise<void>;
}

export async function createKeySet(algorithm: Algorithm = "RS256"): Promise<KeySet> {
  let signing = await generateKey(algorithm);
  let published: JSONWebKeySet = { keys: [signing.publicJwk] };
  return {
    sign: (claims) =>
      new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid: signing.kid, typ: "JWT" }).sign(signing.privateKey),
    jwks: () => published,
    rotate: async () => {
      const previous = signing.publicJwk;
      signing = await generateKey(algorithm);
      published = { keys: [signing.publicJwk, previous] };
    },
  };
}

async function generateKey(algorithm: Algorithm) {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { modulusLength: 2048 });
  const kid = randomBytes(20).toString("hex");
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" };
  return { kid, privateKey, publicJwk };
}

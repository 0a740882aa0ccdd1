/** Google's signing keys, as the local mesh has them: what the metadata server signs with and everybody else checks against. */

import { randomBytes } from "node:crypto";

import { exportJWK, generateKeyPair, SignJWT, type JSONWebKeySet, type JWTPayload } from "jose";

const ALGORITHM = "RS256";

export interface KeySet {
  /** Signs claims as they are (RS256, with `kid`). */
  readonly sign: (claims: JWTPayload) => Promise<string>;
  /** The public keys (RFC 7517), newest first; the same object until the next rotation. */
  readonly jwks: () => JSONWebKeySet;
  /** Signs with a new key from now on. The key before stays published, older ones go, as with Google's. */
  readonly rotate: () => Promise<void>;
}

export async function createKeySet(): Promise<KeySet> {
  let signing = await generateKey();
  let published: JSONWebKeySet = { keys: [signing.publicJwk] };
  return {
    sign: (claims) =>
      new SignJWT(claims).setProtectedHeader({ alg: ALGORITHM, kid: signing.kid, typ: "JWT" }).sign(signing.privateKey),
    jwks: () => published,
    rotate: async () => {
      const previous = signing.publicJwk;
      signing = await generateKey();
      published = { keys: [signing.publicJwk, previous] };
    },
  };
}

async function generateKey() {
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { modulusLength: 2048 });
  const kid = randomBytes(20).toString("hex");
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: ALGORITHM, use: "sig" };
  return { kid, privateKey, publicJwk };
}

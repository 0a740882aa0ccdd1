/** The signature algorithms of JWS (RFC 7518, section 3.1) that a validator can ask for. A validator takes exactly one. */
import { Bytes } from "./host/bytes";

export const enum Algorithm {
  /** RSASSA-PKCS1-v1_5 with SHA-256: Google's ID tokens. */
  RS256,
  /** ECDSA with P-256 and SHA-256: the assertions of Identity-Aware Proxy. */
  ES256,
}

const RS256 = Bytes.of("RS256");
const ES256 = Bytes.of("ES256");

/** The name that `alg` must have, to the letter. */
export function nameOf(algorithm: Algorithm): Bytes {
  return algorithm == Algorithm.RS256 ? RS256 : ES256;
}

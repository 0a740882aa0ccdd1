/** The token of a caller that is let in, where a request was asked about without one. */

import { credentialsFor, headerValue } from "../config/credential.js";
import type { Validator } from "../config/model.js";
import type { Pair } from "../emulator/pairs.js";

/** As long as one of ES256 must be; nobody looks at more of it. */
const SIGNATURE = Buffer.alloc(64, 1);

/** Headers that satisfy all of `validators`; none where no caller could. */
export function assumedHeaders(validators: readonly Validator[]): readonly Pair[] {
  const iat = Math.floor(Date.now() / 1000);
  return (credentialsFor(validators) ?? []).map((credential) => {
    const { header, algorithm, issuer, audience, email, maxLifetimeSec } = credential;
    const who = email === undefined ? {} : { email, email_verified: true };
    const claims = { iss: issuer, aud: audience, ...who, iat, exp: iat + maxLifetimeSec };
    const parts = [JSON.stringify({ alg: algorithm, kid: `assumed ${algorithm}` }), JSON.stringify(claims), SIGNATURE];
    const token = parts.map((part) => Buffer.from(part).toString("base64url")).join(".");
    return [header, headerValue(credential, token)] as const;
  });
}

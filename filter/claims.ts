/** What a token whose signature holds claims (RFC 7519, section 4.1; OpenID Connect Core, section 2), against what is accepted. */
import { Algorithm } from "./algorithm";
import {
  CALLER_NOT_ALLOWED,
  ReplyError,
  TOKEN_AUDIENCE,
  TOKEN_CLAIMS,
  TOKEN_EXPIRED,
  TOKEN_ISSUER,
  TOKEN_NOT_YET_VALID,
} from "./errors";
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";

/** Longest address of a caller (RFC 5321, section 4.5.3.1: 64 and 255 bytes with an @ between them). */
const MAX_EMAIL: i32 = 320;

const EXP = Bytes.of("exp");
const NBF = Bytes.of("nbf");
const IAT = Bytes.of("iat");
const ISS = Bytes.of("iss");
const AUD = Bytes.of("aud");
const EMAIL = Bytes.of("email");
const EMAIL_VERIFIED = Bytes.of("email_verified");

/** What a validator accepts. */
export class Rules {
  algorithm: Algorithm = Algorithm.RS256;
  issuers: Bytes[] = [];
  audiences: Bytes[] = [];
  emails: Bytes[] = [];
  /** Whoever has a valid token is let in, whatever its email. */
  anyCaller: bool = false;
  clockSkewSec: i64 = 60;
  maxLifetimeSec: i64 = 3660;
}

const claims = new Json(256);

export class Claims {
  expiresSec: i64 = 0;
  /** The verified email, fit for a header; empty where any caller is let in and the token has none. */
  readonly caller: Writer = new Writer(MAX_EMAIL);

  /** Null if all is well; else why the token is refused. `nowSec` by the wall clock. */
  read(payload: Bytes, rules: Rules, nowSec: i64): ReplyError | null {
    this.caller.reset();
    if (!claims.parse(payload) || claims.kind(0) != Kind.Object) return TOKEN_CLAIMS;
    const problem = this.checkTimes(rules, nowSec);
    if (problem !== null) return problem;
    if (!isOneOf(ISS, rules.issuers)) return TOKEN_ISSUER;
    if (!isOneOf(AUD, rules.audiences)) return TOKEN_AUDIENCE;
    return this.checkCaller(rules);
  }

  private checkTimes(rules: Rules, nowSec: i64): ReplyError | null {
    const exp = secondsOf(EXP);
    const iat = secondsOf(IAT);
    const nbf = secondsOf(NBF);
    if (exp < 0 || iat == MALFORMED || nbf == MALFORMED) return TOKEN_CLAIMS;
    if (isExpired(exp, rules, nowSec)) return TOKEN_EXPIRED;
    if (max(iat, nbf) > nowSec + rules.clockSkewSec) return TOKEN_NOT_YET_VALID;
    // Without a beginning a token lives from now on at least.
    const sinceSec = iat == MISSING ? nowSec : iat;
    if (exp - sinceSec > rules.maxLifetimeSec) return TOKEN_CLAIMS;
    this.expiresSec = exp;
    return null;
  }

  private checkCaller(rules: Rules): ReplyError | null {
    const email = claims.member(0, EMAIL);
    if (email < 0) return rules.anyCaller ? null : CALLER_NOT_ALLOWED;
    if (claims.kind(email) != Kind.String) return TOKEN_CLAIMS;
    if (!isVerified(rules.algorithm)) return rules.anyCaller ? null : CALLER_NOT_ALLOWED;
    claims.textInto(email, this.caller);
    // The address goes into a header: nothing but visible ASCII may.
    if (!isVisible(this.caller)) return CALLER_NOT_ALLOWED;
    return rules.anyCaller || contains(rules.emails, this.caller) ? null : CALLER_NOT_ALLOWED;
  }
}

/** Whether a token with this `exp` is too old at `nowSec`. */
export function isExpired(expiresSec: i64, rules: Rules, nowSec: i64): bool {
  return nowSec >= expiresSec + rules.clockSkewSec;
}

const MISSING: i64 = -1;
const MALFORMED: i64 = -2;

/** Whole seconds since 1970. A fraction, an exponent, a sign, a string: whatever it means, no issuer that is accepted here writes it. */
function secondsOf(name: Bytes): i64 {
  const node = claims.member(0, name);
  if (node < 0) return MISSING;
  const value = claims.integer(node);
  return value < 0 ? MALFORMED : value;
}

/** A list is refused: with several audiences the token is as good for the others, who can then send it here. */
function isOneOf(name: Bytes, accepted: Bytes[]): bool {
  const node = claims.member(0, name);
  if (node < 0 || claims.kind(node) != Kind.String) return false;
  for (let i = 0; i < accepted.length; i++) {
    if (claims.textEquals(node, accepted[i])) return true;
  }
  return false;
}

/**
 * `email_verified` must be true. Identity-Aware Proxy signs only for accounts that it has checked itself, and writes no such
 * claim (https://cloud.google.com/iap/docs/signed-headers-howto): in its assertions it may be missing.
 */
function isVerified(algorithm: Algorithm): bool {
  const verified = claims.member(0, EMAIL_VERIFIED);
  if (verified < 0) return algorithm == Algorithm.ES256;
  return claims.kind(verified) == Kind.True;
}

function isVisible(text: Writer): bool {
  if (text.overflowed) return false;
  for (let i = 0; i < text.length; i++) {
    if (text.at(i) <= 0x20 || text.at(i) >= 0x7f) return false;
  }
  return text.length > 0;
}

function contains(list: Bytes[], text: Bytes): bool {
  for (let i = 0; i < list.length; i++) {
    if (list[i].equals(text)) return true;
  }
  return false;
}

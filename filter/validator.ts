/**
 * Who may call: whether the token of a request is one that this hop accepts. In this order, each step with its own reason:
 *
 *     shape ──▶ header ──▶ key ──▶ signature ──▶ claims ──▶ caller
 *
 * No claim is looked at before the signature holds. A token that was verified before skips all of it: it is known byte by byte,
 * and only its expiry and its key are looked at again.
 */
import { Ascii } from "./ascii";
import { Claims, isExpired, Rules } from "./claims";
import {
  KEYS_UNAVAILABLE,
  ReplyError,
  TOKEN_EXPIRED,
  TOKEN_KEY_UNKNOWN,
  TOKEN_MALFORMED,
  TOKEN_MISSING,
  TOKEN_SIGNATURE_INVALID,
} from "./errors";
import { Bytes } from "./host/bytes";
import { wallNs } from "./host/clock";
import { Jwt } from "./jwt";
import { KeySet } from "./key-set";
import { ResultCounter } from "./metrics";
import { AUTHORIZATION, SERVERLESS_AUTHORIZATION } from "./names";
import { RequestHead } from "./request-head";
import { isSigned } from "./signature";
import { VerifiedTokens } from "./verified-tokens";

const NS_PER_SEC: i64 = 1_000_000_000;

export const enum Verdict {
  Accepted,
  /** `reason` says why. */
  Refused,
  /** It hangs on keys that are not there; `reason` says what to answer if they do not come. */
  KeysWanted,
}

const BEARER = Bytes.of("bearer");
const ACCEPTED = Bytes.of("ok");

const token = Bytes.empty();
const scheme = Bytes.empty();
const jwt = new Jwt();
const claims = new Claims();

export class Validator {
  /** Why the last token was not accepted. */
  reason: ReplyError = TOKEN_MISSING;
  /** Whose token the last accepted one is: a verified email, or empty. A window that is good until the next check. */
  readonly caller: Bytes = Bytes.empty();
  /** In which header it came. */
  carrier: Bytes = AUTHORIZATION;

  private verified: VerifiedTokens = new VerifiedTokens();

  constructor(
    readonly rules: Rules,
    readonly keys: KeySet,
    /** The header with the token; null: as Cloud Run, `x-serverless-authorization` if present, else `authorization`. */
    private header: Bytes | null,
    /** Whether the token goes on to the backend. */
    readonly forwards: bool,
    private results: ResultCounter,
  ) {}

  check(head: RequestHead, nowNs: i64): Verdict {
    if (!this.findToken(head)) return this.refuse(this.reason);
    const nowSec = wallNs() / NS_PER_SEC;
    const known = this.verified.find(token);
    if (known === null) return this.verify(nowNs, nowSec);
    if (nowNs >= known.untilNs || isExpired(known.expiresSec, this.rules, nowSec)) return this.refuse(TOKEN_EXPIRED);
    return this.keys.isUsable(nowNs) ? this.accept(known.caller) : this.want(KEYS_UNAVAILABLE);
  }

  /** Points `token` at what the caller presents; false if that is not exactly one token, with `reason` set. */
  private findToken(head: RequestHead): bool {
    const own = this.header;
    this.carrier = own !== null ? own : head.hasServerlessAuthorization ? SERVERLESS_AUTHORIZATION : AUTHORIZATION;
    const count = head.findOnly(this.carrier, token);
    const isBare = this.carrier !== AUTHORIZATION && this.carrier !== SERVERLESS_AUTHORIZATION;
    if (count == 1 && (isBare || skipScheme()) && token.length > 0) return true;
    // Envoy makes one header of several, with commas between. Where one looks like a token, it has no part that could be decoded.
    this.reason = count > 1 || token.indexOf(Ascii.Comma) >= 0 ? TOKEN_MALFORMED : TOKEN_MISSING;
    return false;
  }

  private verify(nowNs: i64, nowSec: i64): Verdict {
    const rules = this.rules;
    const problem = jwt.read(token, rules.algorithm);
    if (problem !== null) return this.refuse(problem);
    if (!this.keys.isUsable(nowNs)) return this.want(KEYS_UNAVAILABLE);
    const key = this.keys.find(jwt.keyId);
    if (key === null) return this.want(TOKEN_KEY_UNKNOWN);
    if (!isSigned(rules.algorithm, key.publicKey, jwt.signature, jwt.signed))
      return this.refuse(TOKEN_SIGNATURE_INVALID);
    const complaint = claims.read(jwt.payload, rules, nowSec);
    if (complaint !== null) return this.refuse(complaint);
    const leftSec = claims.expiresSec + rules.clockSkewSec - nowSec;
    const entry = this.verified.add(token, claims.caller, key, claims.expiresSec, nowNs + leftSec * NS_PER_SEC);
    return this.accept(entry.caller);
  }

  private accept(caller: Bytes): Verdict {
    this.caller.point(caller, 0, caller.length);
    return Verdict.Accepted;
  }

  /** The request goes on. Told apart from `check`, since a request that is held for another validator's keys is checked twice. */
  countAccepted(): void {
    this.results.count(ACCEPTED);
  }

  private refuse(reason: ReplyError): Verdict {
    this.reason = reason;
    this.results.count(reason.code);
    return Verdict.Refused;
  }

  private want(reason: ReplyError): Verdict {
    this.reason = reason;
    return Verdict.KeysWanted;
  }

  /** The keys that a request waited for did not come, or it could not wait. */
  giveUp(): void {
    this.results.count(this.reason.code);
  }
}

/** Leaves in `token` what follows `Bearer` and spaces (RFC 6750, section 2.1; the scheme in any case, RFC 9110, section 11.1). */
function skipScheme(): bool {
  scheme.point(token, 0, BEARER.length);
  if (!scheme.equalsIgnoreCase(BEARER) || token.at(BEARER.length) != 0x20) return false;
  let start = BEARER.length;
  while (token.at(start) == 0x20) start++;
  token.point(token, start, token.length);
  return true;
}

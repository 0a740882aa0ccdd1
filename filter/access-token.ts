/**
 * The access token of the proxy's own service account (OAuth 2.0), which the IAM Credentials API is asked with. As secret as an ID
 * token: it goes nowhere but there, is not shared, and no log has it. It is fetched by a VM that is about to fetch ID tokens, once
 * for all of them, and kept for its life.
 */
import { Ascii, isDigit, isLetter } from "./ascii";
import { Fetch } from "./fetch";
import { Bytes, Writer } from "./host/bytes";
import { monotonicNs } from "./host/clock";
import { HttpCallback } from "./host/http-call";
import { Identity } from "./identity";
import { Json, Kind } from "./json";
import { BAD_ACCESS_TOKEN, NO_ACCESS_TOKEN } from "./iam-credentials";
import { AUDIENCE_REFUSED, BAD_TOKEN, FETCHED, receiveFromMetadata, requestAccessToken } from "./metadata-server";

const NS_PER_SEC: i64 = 1_000_000_000;
/** Google's have at most 2048 bytes. */
const MAX_ACCESS_TOKEN: i32 = 4096;
/** Google's live for an hour; nothing is kept for longer, whatever it says. */
const MAX_LIFE_SEC: i64 = 3600;
/** Not used in its last seconds. */
const MARGIN_SEC: i64 = 10;

const ACCESS_TOKEN = Bytes.of("access_token");
const EXPIRES_IN = Bytes.of("expires_in");
const BEARER = Bytes.of("Bearer ");

const content = Bytes.empty();
const answer = new Json(32);

export class AccessToken extends HttpCallback {
  /** `Bearer TOKEN`. */
  header: Bytes = Bytes.empty();
  private usableUntilNs: i64 = 0;
  /** Fetches that go on once the token is there. Not empty: it is being fetched. */
  private demands: Fetch[] = [];

  /** Calls that will follow when the token is there. */
  get demanded(): i32 {
    return this.demands.length;
  }

  isUsable(nowNs: i64): bool {
    return nowNs < this.usableUntilNs;
  }

  /** Calls `fetch.onAccessToken` when the token is there, or cannot be had. Not null: why it is not even asked for. */
  demand(identity: Identity, fetch: Fetch): Bytes | null {
    if (this.demands.length == 0) {
      const problem = requestAccessToken(identity, this);
      if (problem !== null) return problem;
    }
    this.demands.push(fetch);
    return null;
  }

  /** It was refused: the next fetch gets another. */
  drop(): void {
    this.usableUntilNs = 0;
  }

  onHttpCallResponse(headers: i32, bodySize: i32): void {
    const problem = this.receive(headers, bodySize);
    const demands = this.demands;
    this.demands = [];
    for (let i = 0; i < demands.length; i++) demands[i].onAccessToken(problem);
  }

  private receive(headers: i32, bodySize: i32): Bytes | null {
    const result = receiveFromMetadata(headers, bodySize, content);
    if (result === FETCHED) return this.take() ? null : BAD_ACCESS_TOKEN;
    if (result === AUDIENCE_REFUSED) return NO_ACCESS_TOKEN;
    return result === BAD_TOKEN ? BAD_ACCESS_TOKEN : result;
  }

  /** Keeps the token of the answer, if it is one. */
  private take(): bool {
    if (!answer.parse(content)) return false;
    const token = answer.member(0, ACCESS_TOKEN);
    const expiresIn = answer.member(0, EXPIRES_IN);
    if (token < 0 || answer.kind(token) != Kind.String || expiresIn < 0) return false;
    const size = answer.textSize(token);
    const lifeSec = min(answer.integer(expiresIn), MAX_LIFE_SEC) - MARGIN_SEC;
    if (size == 0 || size > MAX_ACCESS_TOKEN || lifeSec <= 0) return false;
    const header = new Writer(BEARER.length + size);
    answer.textInto(token, header.append(BEARER));
    if (!isCredential(header)) return false;
    this.header = header;
    this.usableUntilNs = monotonicNs() + lifeSec * NS_PER_SEC;
    return true;
  }
}

/** What can stand behind `Bearer ` (RFC 6750, section 2.1), and so in a header. */
function isCredential(header: Bytes): bool {
  for (let i = BEARER.length; i < header.length; i++) {
    const byte = header.at(i);
    if (isLetter(byte) || isDigit(byte)) continue;
    if (byte != Ascii.Hyphen && byte != Ascii.Dot && byte != Ascii.Underscore && byte != Ascii.Tilde) {
      if (byte != Ascii.Plus && byte != Ascii.Slash && byte != Ascii.Equals) return false;
    }
  }
  return true;
}

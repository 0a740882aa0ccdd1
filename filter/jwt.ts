/**
 * A token that a caller sent (a JWT, RFC 7519, signed as RFC 7515 has it): its shape and its header. What it claims is
 * read elsewhere, and only once its signature holds.
 */
import { Algorithm, nameOf } from "./algorithm";
import { Ascii } from "./ascii";
import { decodeBase64Url } from "./base64";
import { ReplyError, TOKEN_ALGORITHM, TOKEN_MALFORMED, TOKEN_SIGNATURE_REMOVED } from "./errors";
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";

/** A longer token is refused unread. */
const MAX_CALLER_TOKEN: i32 = 8192;
/** A token whose key has a longer name is refused. */
export const MAX_KEY_ID: i32 = 256;

/**
 * Values and names of a header. Anybody can send one: with names made to collide, telling a thousand apart would take a worker
 * tens of milliseconds.
 */
const MAX_HEADER_NODES: i32 = 64;

/** What Cloud Run puts in the place of the signature (https://cloud.google.com/run/docs/authenticating/service-to-service). */
const REMOVED = Bytes.of("SIGNATURE_REMOVED_BY_GOOGLE");
const ALG = Bytes.of("alg");
const KID = Bytes.of("kid");
const CRIT = Bytes.of("crit");

export class Jwt {
  /** What is signed: the first two parts with the dot between them. A window on the token. */
  readonly signed: Bytes = Bytes.empty();
  readonly signature: Writer = new Writer(MAX_CALLER_TOKEN);
  /** The decoded second part, of which nothing is known yet. */
  readonly payload: Writer = new Writer(MAX_CALLER_TOKEN);
  /** The name of the key, decoded. */
  readonly keyId: Writer = new Writer(MAX_KEY_ID);

  private part: Bytes = Bytes.empty();
  private headerText: Writer = new Writer(MAX_CALLER_TOKEN);
  private header: Json = new Json(MAX_HEADER_NODES, MAX_HEADER_NODES);

  /** Takes `token` apart. Null: it has the right shape and header, and everything here is about it. Else why it is refused. */
  read(token: Bytes, algorithm: Algorithm): ReplyError | null {
    if (token.length > MAX_CALLER_TOKEN) return TOKEN_MALFORMED;
    const first = token.indexOf(Ascii.Dot);
    const second = token.indexOf(Ascii.Dot, first + 1);
    if (first < 1 || second <= first + 1 || token.indexOf(Ascii.Dot, second + 1) >= 0) return TOKEN_MALFORMED;
    this.signed.point(token, 0, second);
    this.part.point(token, 0, first);
    if (!decodeBase64Url(this.part, this.headerText.reset())) return TOKEN_MALFORMED;
    this.part.point(token, first + 1, second - first - 1);
    if (!decodeBase64Url(this.part, this.payload.reset())) return TOKEN_MALFORMED;
    this.part.point(token, second + 1, token.length);
    if (this.part.equals(REMOVED)) return TOKEN_SIGNATURE_REMOVED;
    if (this.part.length == 0 || !decodeBase64Url(this.part, this.signature.reset())) return TOKEN_MALFORMED;
    return this.readHeader(algorithm);
  }

  /** `jwk`, `jku`, `x5c` and `x5u` are not looked at: a key that comes with the token proves nothing. */
  private readHeader(algorithm: Algorithm): ReplyError | null {
    const header = this.header;
    if (!header.parse(this.headerText) || header.kind(0) != Kind.Object) return TOKEN_MALFORMED;
    if (header.member(0, CRIT) >= 0) return TOKEN_MALFORMED; // whatever it is that must be understood, we do not
    const alg = header.member(0, ALG);
    if (alg < 0 || header.kind(alg) != Kind.String || !header.textEquals(alg, nameOf(algorithm)))
      return TOKEN_ALGORITHM;
    const kid = header.member(0, KID);
    this.keyId.reset();
    if (kid < 0) return null; // no key has an empty name, so none will be found
    if (header.kind(kid) != Kind.String) return TOKEN_MALFORMED;
    header.textInto(kid, this.keyId);
    return this.keyId.overflowed ? TOKEN_MALFORMED : null;
  }
}

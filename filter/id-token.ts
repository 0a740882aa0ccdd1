/**
 * An ID token that we are to send (a JWT, RFC 7519): the little of it that concerns its bearer. The signature is the
 * receiver's concern; whose token it is and how long it lasts is ours.
 */
import { Ascii, isDigit, isLetter } from "./ascii";
import { decodeBase64Url } from "./base64";
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";

/** Longest token accepted from any source, in bytes. */
export const MAX_TOKEN: i32 = 16384;

const AUD = Bytes.of("aud");
const EXP = Bytes.of("exp");

const payloadText = Bytes.empty();
const payload = new Writer(MAX_TOKEN);
const claims = new Json(256);

/**
 * When `token` expires, in seconds since 1970, or -1 if it is no token for exactly `audience`: three parts of base64url, none
 * empty, the second a JSON object with that `aud` and an integer `exp`.
 */
export function expiryOf(token: Bytes, audience: Bytes): i64 {
  if (token.length > MAX_TOKEN) return -1;
  const first = token.indexOf(Ascii.Dot);
  const second = token.indexOf(Ascii.Dot, first + 1);
  if (first < 1 || second <= first + 1 || second == token.length - 1) return -1;
  for (let i = 0; i < token.length; i++) {
    if (i != first && i != second && !isBase64Url(token.at(i))) return -1;
  }
  payloadText.point(token, first + 1, second - first - 1);
  if (!decodeBase64Url(payloadText, payload.reset()) || !claims.parse(payload)) return -1;
  const aud = claims.member(0, AUD);
  if (aud < 0 || claims.kind(aud) != Kind.String || !claims.textEquals(aud, audience)) return -1;
  const exp = claims.member(0, EXP);
  return exp < 0 ? -1 : claims.integer(exp);
}

function isBase64Url(byte: i32): bool {
  return isLetter(byte) || isDigit(byte) || byte == Ascii.Hyphen || byte == Ascii.Underscore;
}

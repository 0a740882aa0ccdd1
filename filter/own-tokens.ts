/**
 * The tokens that this VM puts on requests, so that it knows them again. Envoy follows a redirect (`internal_redirect_policy`) by
 * sending the request through the filters once more, with the headers that the first pass left: the token there is ours, for
 * the first destination. It must not go to the second, nor be taken for a credential of the caller's.
 *
 * The same worker does both passes. A token is known by the end of its signature, until it has expired; whoever sends
 * something else that ends alike has only their own header removed.
 */
import { Bytes, read64 } from "./host/bytes";

/** Bytes that a token is known by, all of its signature. */
const TAIL: i32 = 16;
/** Two for each audience while one is refreshed. Beyond, the oldest are forgotten. */
const MAX_TOKENS: u32 = 8192;
/** Beyond their expiry, for a wall clock that was wrong when that was reckoned. */
const KEPT_NS: i64 = 600_000_000_000;

class OwnToken {
  constructor(
    public first: i64,
    public second: i64,
    /** Monotonic time at which it has expired. */
    public untilNs: i64,
  ) {}
}

const tokens: OwnToken[] = [];
let oldest: u32 = 0;

/**
 * A bit for each token that is known. Nearly every credential is not ours, and the bit says so at once, however many tokens
 * there are; only where it is set are they looked through.
 */
const BITS: u32 = 1 << 16;
const marks = new StaticArray<u64>(<i32>(BITS / 64));

/**
 * `header` (`Bearer TOKEN`) will be put on requests by the hop called `hop` (its hash), and is good until `untilNs`. Two hops can be in one VM:
 * what the one added is for the other a credential like any.
 */
export function remember(header: Bytes, hop: i64, untilNs: i64, nowNs: i64): void {
  const first = read64(header, header.length - TAIL) ^ hop;
  const second = read64(header, header.length - TAIL / 2);
  let expired: OwnToken | null = null;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token.first == first && token.second == second) return;
    if (token.untilNs + KEPT_NS < nowNs) expired = token;
  }
  if (expired === null && <u32>tokens.length < MAX_TOKENS) {
    tokens.push(new OwnToken(first, second, untilNs));
    mark(second);
    return;
  }
  const place = expired === null ? tokens[<i32>(oldest++ % MAX_TOKENS)] : expired;
  place.first = first;
  place.second = second;
  place.untilNs = untilNs;
  marks.fill(0); // what has gone must not leave its mark
  for (let i = 0; i < tokens.length; i++) mark(tokens[i].second);
}

function bitOf(tail: i64): u32 {
  return <u32>((<u64>tail * 0x9e37_79b9_7f4a_7c15) >> 48);
}

function mark(tail: i64): void {
  const bit = bitOf(tail);
  marks[<i32>(bit >> 6)] |= (<u64>1) << (bit & 63);
}

function isMarked(tail: i64): bool {
  const bit = bitOf(tail);
  return ((marks[<i32>(bit >> 6)] >> (bit & 63)) & 1) != 0;
}

/** Whether `header` is the value of a credential that this hop has put on a request in this VM. */
export function isOwn(header: Bytes, hop: i64): bool {
  if (header.length < TAIL) return false;
  const first = read64(header, header.length - TAIL) ^ hop;
  const second = read64(header, header.length - TAIL / 2);
  if (!isMarked(second)) return false;
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i].first == first && tokens[i].second == second) return true;
  }
  return false;
}

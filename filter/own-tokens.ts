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
const MAX_TOKENS: i32 = 8192;
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
let oldest: i32 = 0;

/** `header` (`Bearer TOKEN`) will be put on requests, and is good until `untilNs`. */
export function remember(header: Bytes, untilNs: i64, nowNs: i64): void {
  const first = read64(header, header.length - TAIL);
  const second = read64(header, header.length - TAIL / 2);
  let expired: OwnToken | null = null;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token.first == first && token.second == second) return;
    if (token.untilNs + KEPT_NS < nowNs) expired = token;
  }
  if (expired === null && tokens.length < MAX_TOKENS) {
    tokens.push(new OwnToken(first, second, untilNs));
    return;
  }
  const place = expired === null ? tokens[oldest++ % MAX_TOKENS] : expired;
  place.first = first;
  place.second = second;
  place.untilNs = untilNs;
}

/** Whether `header` is the value of a credential that this VM has put on a request. */
export function isOwn(header: Bytes): bool {
  if (header.length < TAIL) return false;
  const first = read64(header, header.length - TAIL);
  const second = read64(header, header.length - TAIL / 2);
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i].first == first && tokens[i].second == second) return true;
  }
  return false;
}

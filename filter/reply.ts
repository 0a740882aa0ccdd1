/** Answers of the filter's own: `application/problem+json` (RFC 9457) with a stable code. */
import { ReplyError, TOKEN_MISSING } from "./errors";
import { Bytes, Writer } from "./host/bytes";
import { PairsWriter } from "./host/pairs";
import { sendLocalReply } from "./host/stream";
import { setProperty } from "./host/property";
import { CONTENT_TYPE, OWN_ERROR, RETRY_AFTER, WWW_AUTHENTICATE } from "./names";

const PROBLEM_JSON = Bytes.of("application/problem+json");
const DETAILS_PREFIX = Bytes.of("hopgate_");
const TITLE = Bytes.of('{"type":"about:blank","title":"');
const STATUS = Bytes.of('","status":');
const CODE = Bytes.of(',"code":"');
const DETAIL = Bytes.of('","detail":"');
const END = Bytes.of('"}');

/** RFC 6750, section 3: no error code where no token came. */
const CHALLENGE = Bytes.of("Bearer");
const CHALLENGE_INVALID = Bytes.of('Bearer error="invalid_token"');
/** Where the access log finds the code: `%FILTER_STATE(wasm.hopgate_error:PLAIN)%`. */
const ERROR_STATE = Bytes.of("hopgate_error");

const details = new Writer(64);
const body = new Writer(512);
const seconds = new Writer(20);
const headers = new PairsWriter(4, 1024);

/** Answers the stream that is in effect. `retryAfterSec` 0: no `retry-after`. All texts are constants of ours. */
export function reply(error: ReplyError, retryAfterSec: i64 = 0): void {
  details.reset().append(DETAILS_PREFIX).append(error.code);
  body.reset().append(TITLE).append(error.title).append(STATUS).appendInteger(error.status);
  body.append(CODE).append(error.code).append(DETAIL).append(error.detail).append(END);
  headers.reset().add(CONTENT_TYPE, PROBLEM_JSON).add(OWN_ERROR, error.code);
  if (error.status == 401) headers.add(WWW_AUTHENTICATE, error === TOKEN_MISSING ? CHALLENGE : CHALLENGE_INVALID);
  if (retryAfterSec > 0) headers.add(RETRY_AFTER, seconds.reset().appendInteger(retryAfterSec));
  setProperty(ERROR_STATE, error.code);
  sendLocalReply(error.status, details, body, headers, error.grpcStatus);
}

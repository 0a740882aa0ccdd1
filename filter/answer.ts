/** The answer of an HTTP call, while it is being delivered. */
import { isDigit } from "./ascii";
import { BufferKind, readBuffer } from "./host/buffer";
import { Bytes, Writer } from "./host/bytes";
import { getHeader, HeaderMap } from "./host/headers";
import { Inbox } from "./host/inbox";
import { Status } from "./host/status";
import { STATUS } from "./names";

const OPEN = Bytes.of(" (");
const ANSWERED = Bytes.of(": status ");
const CLOSE = Bytes.of(")");

const value = new Inbox(64, 8192);

/** Of the answer that was read last, for who reads the log; 0 where it has none. */
let lastStatus: i32 = 0;

/** Its status; 0 where there is none: a reset, or a body over the host's limit. `headerCount` as the callback got it. */
export function answerStatus(headerCount: i32): i32 {
  lastStatus = readStatus(headerCount);
  return lastStatus;
}

function readStatus(headerCount: i32): i32 {
  if (headerCount == 0 || getHeader(HeaderMap.HttpCallResponse, STATUS, value) != Status.Ok) return 0;
  if (value.length != 3) return 0;
  let status = 0;
  for (let i = 0; i < 3; i++) {
    if (!isDigit(value.at(i))) return 0;
    status = status * 10 + value.at(i) - 0x30;
  }
  return status;
}

/** Nothing has been answered yet: a call begins. */
export function expectAnswer(): void {
  lastStatus = 0;
}

/** ` (CLUSTER)`, or ` (CLUSTER: status 504)`: where a call went, and what came of it, be it Envoy's own, behind the reason why it failed. */
export function appendOrigin(message: Writer, cluster: Bytes): void {
  message.append(OPEN).append(cluster);
  if (lastStatus != 0) message.append(ANSWERED).appendInteger(lastStatus);
  message.append(CLOSE);
}

/** Whether the header is there, with exactly this value. */
export function answerHas(name: Bytes, expected: Bytes): bool {
  return getHeader(HeaderMap.HttpCallResponse, name, value) == Status.Ok && value.equals(expected);
}

/** Reads the body, if it has at most `limit` bytes: it may have 32 MiB. */
export function readAnswer(bodySize: i32, limit: i32, into: Inbox): bool {
  return bodySize <= limit && readBuffer(BufferKind.HttpCallResponseBody, limit, into) == Status.Ok;
}

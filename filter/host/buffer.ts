/** The host's buffers. */
import { proxyGetBuffer } from "./abi";
import { expect, Inbox, received } from "./inbox";
import { Status } from "./status";

export const enum BufferKind {
  HttpCallResponseBody = 4,
  PluginConfiguration = 7,
}

/** Reads at most `length` bytes from the start. NotFound where the running callback has no such buffer. */
export function readBuffer(kind: BufferKind, length: i32, into: Inbox): Status {
  const out = expect(into);
  return received(into, proxyGetBuffer(kind, 0, length, out, out + 4));
}

/** Header maps: read whole (one crossing), or one value; written one by one. Names are lower case. */
import { proxyAddHeader, proxyGetHeader, proxyGetHeaderPairs, proxyRemoveHeader, proxyReplaceHeader } from "./abi";
import { Bytes } from "./bytes";
import { expect, Inbox, received } from "./inbox";
import { Status } from "./status";

/** Which map. A map that the running callback cannot reach answers BadArgument, or as an empty one. */
export const enum HeaderMap {
  Request = 0,
  RequestTrailers = 1,
  Response = 2,
  ResponseTrailers = 3,
  HttpCallResponse = 6,
  HttpCallResponseTrailers = 7,
}

/** More than Envoy's default limit (60 KiB), and as much as it can be set to (8 MiB) with room for the lengths. */
const MAX_MAP_BYTES: i32 = 9 << 20;

/**
 * All headers of one map, walked in order. The host's layout is
 *
 *     u32 count | count × (u32 name size, u32 value size) | count × (name NUL value NUL)
 *
 * `name` and `value` are windows on it, valid until the next `read`.
 */
export class HeaderPairs {
  readonly name: Bytes = Bytes.empty();
  readonly value: Bytes = Bytes.empty();
  private inbox: Inbox;
  private count: i32 = 0;
  private index: i32 = 0;
  private offset: i32 = 0;

  /** `capacity`: bytes kept ready for an ordinary set of headers. */
  constructor(capacity: i32) {
    this.inbox = new Inbox(capacity, MAX_MAP_BYTES);
  }

  read(map: HeaderMap): Status {
    const out = expect(this.inbox);
    const status = received(this.inbox, proxyGetHeaderPairs(map, out, out + 4));
    this.count = this.inbox.length >= 4 ? <i32>load<u32>(this.inbox.pointer) : 0;
    this.rewind();
    return status;
  }

  rewind(): void {
    this.index = 0;
    this.offset = 4 + this.count * 8;
  }

  /** Moves `name` and `value` to the next header; false at the end. */
  next(): bool {
    const index = this.index;
    if (<u32>index >= <u32>this.count) return false;
    const inbox = this.inbox;
    const sizes = 4 + index * 8;
    if (sizes + 8 > inbox.length) return false;
    const nameSize = load<i32>(inbox.pointer + sizes);
    const valueSize = load<i32>(inbox.pointer + sizes, 4);
    const nameStart = this.offset;
    const valueStart = nameStart + nameSize + 1;
    this.name.point(inbox, nameStart, nameSize);
    this.value.point(inbox, valueStart, valueSize);
    this.offset = valueStart + valueSize + 1;
    this.index = index + 1;
    return true;
  }

  /** Moves to the first header called `name`; false if there is none. */
  find(name: Bytes): bool {
    this.rewind();
    while (this.next()) {
      if (this.name.equals(name)) return true;
    }
    return false;
  }
}

/** Reads one value; of a header that occurs more than once, the first. NotFound and an empty value are told apart. */
export function getHeader(map: HeaderMap, name: Bytes, into: Inbox): Status {
  const out = expect(into);
  return received(into, proxyGetHeader(map, name.pointer, name.length, out, out + 4));
}

/** Adds one more value behind those that are there. */
// @ts-ignore: decorator
@inline
export function addHeader(map: HeaderMap, name: Bytes, value: Bytes): Status {
  return proxyAddHeader(map, name.pointer, name.length, value.pointer, value.length);
}

/** Leaves exactly this value. */
// @ts-ignore: decorator
@inline
export function replaceHeader(map: HeaderMap, name: Bytes, value: Bytes): Status {
  return proxyReplaceHeader(map, name.pointer, name.length, value.pointer, value.length);
}

/** Removes all values; Ok also where there was none. */
// @ts-ignore: decorator
@inline
export function removeHeader(map: HeaderMap, name: Bytes): Status {
  return proxyRemoveHeader(map, name.pointer, name.length);
}

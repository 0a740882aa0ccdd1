/**
 * What the filter needs to know of a request, read in one crossing. One object serves all requests of a VM: it is valid during
 * `onRequestHeaders` and no longer.
 */
import { Ascii } from "./ascii";
import { Bytes } from "./host/bytes";
import { HeaderMap, HeaderPairs } from "./host/headers";
import { Status } from "./host/status";
import {
  AUTHORITY,
  AUTHORIZATION,
  METHOD,
  OWN_PATH,
  OWN_PREFIX,
  OWN_TRACE,
  PATH,
  REQUEST_ID,
  SERVERLESS_AUTHORIZATION,
  UPGRADE,
} from "./names";

export class RequestHead {
  readonly authority: Bytes = Bytes.empty();
  readonly method: Bytes = Bytes.empty();
  readonly path: Bytes = Bytes.empty();
  readonly requestId: Bytes = Bytes.empty();
  readonly upgrade: Bytes = Bytes.empty();
  readonly authorization: Bytes = Bytes.empty();
  readonly serverlessAuthorization: Bytes = Bytes.empty();
  /** `x-hopgate-path` and `x-hopgate-trace` as they came. */
  readonly stamps: Bytes = Bytes.empty();
  readonly trace: Bytes = Bytes.empty();
  hasAuthorization: bool = false;
  hasServerlessAuthorization: bool = false;
  /** A header came whose name looks like one of ours. */
  hasOwn: bool = false;

  private pairs: HeaderPairs = new HeaderPairs(16_384);

  /** False if the headers cannot be read. */
  read(): bool {
    this.clear();
    if (this.pairs.read(HeaderMap.Request) != Status.Ok) return false;
    while (this.pairs.next()) this.take(this.pairs.name, this.pairs.value);
    this.pairs.rewind();
    return true;
  }

  /** The next name that looks like one of ours, valid until the next call; null at the end. Starts over after `read`. */
  nextOwn(): Bytes | null {
    const pairs = this.pairs;
    while (pairs.next()) {
      if (looksOwn(pairs.name)) return pairs.name;
    }
    return null;
  }

  /** Points `value` at the first header called `name`; false if there is none. */
  find(name: Bytes, value: Bytes): bool {
    if (!this.pairs.find(name)) return false;
    value.point(this.pairs.value, 0, this.pairs.value.length);
    return true;
  }

  /** How often `name` occurs; `value` is pointed at the first, or cleared. */
  findOnly(name: Bytes, value: Bytes): i32 {
    const pairs = this.pairs;
    let count = 0;
    value.clear();
    pairs.rewind();
    while (pairs.next()) {
      if (pairs.name.equals(name) && ++count == 1) look(value, pairs.value);
    }
    return count;
  }

  private clear(): void {
    this.authority.clear();
    this.method.clear();
    this.path.clear();
    this.requestId.clear();
    this.upgrade.clear();
    this.authorization.clear();
    this.serverlessAuthorization.clear();
    this.stamps.clear();
    this.trace.clear();
    this.hasAuthorization = false;
    this.hasServerlessAuthorization = false;
    this.hasOwn = false;
  }

  /** Told apart by length first: most names of a request are none of these. */
  private take(name: Bytes, value: Bytes): void {
    switch (name.length) {
      case 5:
        if (name.equals(PATH)) look(this.path, value);
        return;
      case 7:
        if (name.equals(METHOD)) look(this.method, value);
        else if (name.equals(UPGRADE)) look(this.upgrade, value);
        return;
      case 10:
        if (name.equals(AUTHORITY)) look(this.authority, value);
        break;
      case 12:
        if (name.equals(REQUEST_ID)) look(this.requestId, value);
        break;
      case 13:
        if (name.equals(AUTHORIZATION)) {
          look(this.authorization, value);
          this.hasAuthorization = true;
        }
        break;
      case 26:
        if (name.equals(SERVERLESS_AUTHORIZATION)) {
          look(this.serverlessAuthorization, value);
          this.hasServerlessAuthorization = true;
        }
        break;
    }
    if (looksOwn(name)) this.takeOwn(name, value);
  }

  private takeOwn(name: Bytes, value: Bytes): void {
    this.hasOwn = true;
    if (name.equals(OWN_PATH)) look(this.stamps, value);
    else if (name.equals(OWN_TRACE)) look(this.trace, value);
  }
}

/**
 * Whether `name` begins with `x-hopgate-`, or with underscores in the place of hyphens: CGI, WSGI and their like make one name of
 * both, so that to a service `x_hopgate_caller` would be our word.
 */
function looksOwn(name: Bytes): bool {
  if (name.length < OWN_PREFIX.length) return false;
  for (let i = 0; i < OWN_PREFIX.length; i++) {
    const byte = name.at(i);
    if (byte != OWN_PREFIX.at(i) && (byte != Ascii.Underscore || OWN_PREFIX.at(i) != Ascii.Hyphen)) return false;
  }
  return true;
}

function look(window: Bytes, at: Bytes): void {
  window.point(at, 0, at.length);
}

/**
 * What the filter needs to know of a request, read in one crossing. One object serves all requests of a VM: it is valid during
 * `onRequestHeaders` and no longer.
 */
import { Bytes, windows } from "./host/bytes";
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

/** Headers of ours that a caller may send and have removed; a request with more is refused. */
const MAX_OWN_HEADERS: i32 = 16;

export class RequestHead {
  readonly authority: Bytes = Bytes.empty();
  readonly method: Bytes = Bytes.empty();
  readonly path: Bytes = Bytes.empty();
  readonly requestId: Bytes = Bytes.empty();
  readonly upgrade: Bytes = Bytes.empty();
  /** `x-hopgate-path` and `x-hopgate-trace` as they came. */
  readonly stamps: Bytes = Bytes.empty();
  readonly trace: Bytes = Bytes.empty();
  hasAuthorization: bool = false;
  hasServerlessAuthorization: bool = false;
  /** Names of all headers that begin with `x-hopgate-`, as often as they came. */
  readonly own: StaticArray<Bytes> = windows(MAX_OWN_HEADERS);
  ownCount: i32 = 0;

  private pairs: HeaderPairs = new HeaderPairs(16_384);

  /** False if the headers cannot be read, or hold more of our own than a request of ours ever has. */
  read(): bool {
    this.clear();
    if (this.pairs.read(HeaderMap.Request) != Status.Ok) return false;
    while (this.pairs.next()) this.take(this.pairs.name, this.pairs.value);
    return this.ownCount <= MAX_OWN_HEADERS;
  }

  /** Points `value` at the first header called `name`; false if there is none. */
  find(name: Bytes, value: Bytes): bool {
    if (!this.pairs.find(name)) return false;
    value.point(this.pairs.value, 0, this.pairs.value.length);
    return true;
  }

  private clear(): void {
    this.authority.clear();
    this.method.clear();
    this.path.clear();
    this.requestId.clear();
    this.upgrade.clear();
    this.stamps.clear();
    this.trace.clear();
    this.hasAuthorization = false;
    this.hasServerlessAuthorization = false;
    this.ownCount = 0;
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
        if (name.equals(AUTHORIZATION)) this.hasAuthorization = true;
        break;
      case 26:
        if (name.equals(SERVERLESS_AUTHORIZATION)) this.hasServerlessAuthorization = true;
        break;
    }
    if (name.startsWith(OWN_PREFIX)) this.takeOwn(name, value);
  }

  private takeOwn(name: Bytes, value: Bytes): void {
    if (this.ownCount < MAX_OWN_HEADERS) look(this.own[this.ownCount], name);
    this.ownCount += 1;
    if (name.equals(OWN_PATH)) look(this.stamps, value);
    else if (name.equals(OWN_TRACE)) look(this.trace, value);
  }
}

function look(window: Bytes, at: Bytes): void {
  window.point(at, 0, at.length);
}

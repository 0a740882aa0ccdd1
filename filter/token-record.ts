/**
 * What the workers of a process tell each other about one token, in shared data.
 *
 *     byte 0      4           12            20         24
 *          magic  lease until retry at      failures   token ...
 *          u32    i64 ms      i64 ms        i32
 *
 * Times are of the monotonic clock, which is the same for all workers. Other plugins can read and write here, so
 * nothing is believed: a record of another shape counts as empty, a time further ahead than we would ever set counts as
 * past, and a token is checked like a fetched one before it is used.
 */
import { Bytes, read32, read64, Writer } from "./host/bytes";
import { Inbox } from "./host/inbox";
import { CREATE, getSharedData, setSharedData, sharedDataCas } from "./host/shared-data";
import { Status } from "./host/status";
import { MAX_TOKEN } from "./id-token";

const MAGIC: i32 = 0x3154_4748; // "HGT1"
const HEADER_BYTES: i32 = 24;

export class TokenRecord {
  leaseUntilMs: i64 = 0;
  retryAtMs: i64 = 0;
  /** Fetches that failed since the last one that did not. */
  failures: i32 = 0;
  /** The published token, empty if there is none. A window on what was read last. */
  readonly token: Bytes = Bytes.empty();

  private cas: u32 = CREATE;
  private inbox: Inbox = new Inbox(4096, MAX_TOKEN + HEADER_BYTES);
  private writer: Writer = new Writer(MAX_TOKEN + HEADER_BYTES);

  /** Reads the record of `key`; false if the host cannot say. */
  read(key: Bytes): bool {
    this.leaseUntilMs = 0;
    this.retryAtMs = 0;
    this.failures = 0;
    this.token.clear();
    const status = getSharedData(key, this.inbox);
    this.cas = status == Status.NotFound ? CREATE : sharedDataCas();
    if (status == Status.NotFound) return true;
    // A record over the limit is another plugin's, and could not be replaced without its number.
    if (status != Status.Ok) return false;
    if (this.inbox.length < HEADER_BYTES || read32(this.inbox, 0) != MAGIC) return true;
    this.leaseUntilMs = read64(this.inbox, 4);
    this.retryAtMs = read64(this.inbox, 12);
    this.failures = min(max(read32(this.inbox, 20), 0), 16);
    this.token.point(this.inbox, HEADER_BYTES, this.inbox.length - HEADER_BYTES);
    return true;
  }

  /** Writes the record back with `token`, if nobody has written it since `read`. */
  write(key: Bytes, token: Bytes): bool {
    const value = this.writer
      .reset()
      .append32(MAGIC)
      .append64(this.leaseUntilMs)
      .append64(this.retryAtMs)
      .append32(this.failures)
      .append(token);
    return !value.overflowed && setSharedData(key, value, this.cas) == Status.Ok;
  }
}

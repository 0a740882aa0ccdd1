/**
 * What the workers of a process tell each other about the fetches of one key set, in shared data.
 *
 *     byte 0      4            12            20
 *          magic  started at   finished at   digest
 *          u32    i64 ms       i64 ms        u64
 *
 * The keys themselves are not in it. Every plugin of the proxy can write here (Istio gives them all the same VM id), and unlike a token a
 * key cannot be checked: whoever plants one lets in whom he likes. So each worker fetches for itself, and learns from the others
 * only when that is worth it: the digest says whether the set that they have is another one.
 */
import { Bytes, read32, read64, Writer } from "./host/bytes";
import { Inbox } from "./host/inbox";
import { CREATE, getSharedData, setSharedData, sharedDataCas } from "./host/shared-data";
import { Status } from "./host/status";

const MAGIC: i32 = 0x314b_4748; // "HGK1"
const BYTES: i32 = 28;

export class KeySetRecord {
  /** By the monotonic clock, which is the same for all workers. 0: never. */
  startedMs: i64 = 0;
  finishedMs: i64 = 0;
  digest: i64 = 0;
  /** Whether the host could say what is there. */
  isReadable: bool = false;

  private cas: u32 = CREATE;
  private inbox: Inbox = new Inbox(64, 4096);
  private writer: Writer = new Writer(BYTES);

  /** Reads the record of `key`; one of another shape counts as empty. False if the host cannot say. */
  read(key: Bytes): bool {
    this.startedMs = 0;
    this.finishedMs = 0;
    this.digest = 0;
    const status = getSharedData(key, this.inbox);
    this.cas = status == Status.NotFound ? CREATE : sharedDataCas();
    this.isReadable = status == Status.Ok || status == Status.NotFound;
    if (status != Status.Ok) return this.isReadable;
    if (this.inbox.length != BYTES || read32(this.inbox, 0) != MAGIC) return true;
    this.startedMs = read64(this.inbox, 4);
    this.finishedMs = read64(this.inbox, 12);
    this.digest = read64(this.inbox, 20);
    return true;
  }

  /** Writes the record back, if nobody has written it since `read`. */
  write(key: Bytes): bool {
    const value = this.writer
      .reset()
      .append32(MAGIC)
      .append64(this.startedMs)
      .append64(this.finishedMs)
      .append64(this.digest);
    return setSharedData(key, value, this.cas) == Status.Ok;
  }
}

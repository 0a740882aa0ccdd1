/**
 * Where an answer of the host lands.
 *
 * The host puts what it returns into memory that it asks of the guest in the middle of the call:
 *
 *     guest ── proxy_get_property ──▶ host
 *     guest ◀─ proxy_on_memory_allocate(17) ─ host
 *     guest ── address of the inbox ─▶ host    writes 17 bytes there
 *     guest ◀─ Ok, address, 17 ─────── host
 *
 * A general allocator would be asked, and have to be given back, several times a request. Instead each kind of answer
 * has an inbox that stays: it grows to the largest answer it has seen, up to `limit`, and is overwritten by the next.
 * There is nothing to free and nothing to leak.
 */
import { Bytes } from "./bytes";
import { Status } from "./status";
import { collectLater } from "./memory";

export class Inbox extends Bytes {
  /** Status of the last call that was answered into this inbox. */
  status: Status = Status.Empty;

  /** `capacity` and `limit` in bytes: what it has at first, and what it may grow to. */
  constructor(
    capacity: i32,
    private limit: i32,
  ) {
    super(new StaticArray<u8>(capacity), 0, 0);
  }

  /** Room for `size` bytes, or 0 if that is over the limit: the host then reports InvalidMemoryAccess. */
  reserve(size: i32): usize {
    if (size < 0 || size > this.limit) return 0;
    if (size > this.owner.length) {
      let capacity = max(this.owner.length, 64);
      while (capacity < size) capacity <<= 1;
      this.owner = new StaticArray<u8>(capacity);
      collectLater();
    }
    return changetype<usize>(this.owner);
  }
}

/** Whom the host is answering. Between calls nobody, and an allocation that nobody expects is refused. */
let addressee: Inbox | null = null;

/** Says into which inbox the next host call answers. Returns the address for the host's (pointer, size) pair. */
export function expect(inbox: Inbox): usize {
  addressee = inbox;
  inbox.length = 0;
  store<u64>(answer, 0);
  return answer;
}

/** Takes the answer to a call: on `Ok` the inbox holds it. */
export function received(inbox: Inbox, status: Status): Status {
  addressee = null;
  inbox.status = status;
  if (status == Status.Ok) inbox.length = <i32>min(load<u32>(answer, 4), <u32>inbox.owner.length);
  return status;
}

/** Address of the (pointer, size) pair that the host fills in; both 32 bits wide. */
const answer: usize = memory.data(8, 8);

/** The export `proxy_on_memory_allocate`. The host asks for each answer once; an address of 0 makes its call fail. */
export function allocate(size: i32): usize {
  const inbox = addressee;
  return inbox === null ? 0 : inbox.reserve(size);
}

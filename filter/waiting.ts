/** Requests that are held until something is there: a token to send, or the keys to check one with. */
import { StreamContext } from "./host/context";

/** A request that can be held. */
export abstract class Waiter extends StreamContext {
  /** The list that it is in, if any. */
  list: WaitList | null = null;
  before: Waiter | null = null;
  behind: Waiter | null = null;
  /** Monotonic time since when it has been held. */
  heldSinceNs: i64 = 0;

  /** Stops waiting; false if it does not wait. */
  leave(): bool {
    const list = this.list;
    if (list === null) return false;
    list.remove(this);
    return true;
  }

  /** The wait is over: go on if `available`, else refuse the request. Called once, after it has left the list. */
  abstract onSettled(available: bool): void;
}

/** First in, first out; a request that goes away leaves from wherever it stands. */
export class WaitList {
  size: i32 = 0;
  private head: Waiter | null = null;
  private tail: Waiter | null = null;

  add(waiter: Waiter): void {
    const tail = this.tail;
    waiter.list = this;
    waiter.before = tail;
    waiter.behind = null;
    if (tail === null) this.head = waiter;
    else tail.behind = waiter;
    this.tail = waiter;
    this.size += 1;
  }

  remove(waiter: Waiter): void {
    if (waiter.list !== this) return;
    const before = waiter.before;
    const behind = waiter.behind;
    if (before === null) this.head = behind;
    else before.behind = behind;
    if (behind === null) this.tail = before;
    else behind.before = before;
    waiter.list = null;
    waiter.before = null;
    waiter.behind = null;
    this.size -= 1;
  }

  /** Takes out whoever has waited longest, if it has waited since `ns` or earlier. */
  takeSince(ns: i64): Waiter | null {
    const head = this.head;
    if (head === null || head.heldSinceNs > ns) return null;
    this.remove(head);
    return head;
  }
}

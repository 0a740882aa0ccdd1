/**
 * The public keys of one issuer in one VM: fetched before anybody needs them, refreshed, and used for a while beyond that
 * when the issuer is down. A token whose key is not in the set may be signed with a new one, so the set is then
 * fetched again, but not more than once in `cooldownSec` by all workers together: anybody can make up names of keys.
 *
 *     unknown key ──▶ fetch under way here? ── yes ───────────────────────────────────────────────▶ wait for it
 *                     │ no
 *                     ├── fetched within the cooldown here? ──────────────────────────────────────▶ refuse
 *                     ├── another worker fetches? ────────────────────────────────────────────────▶ wait, and look what it found
 *                     ├── another one fetched within the cooldown, and found the set that we have? ▶ refuse
 *                     └── fetch, and wait for it
 */
import { Algorithm } from "./algorithm";
import { answerStatus, appendOrigin, expectAnswer, readAnswer } from "./answer";
import { Ascii } from "./ascii";
import { Bytes, hash64, Writer } from "./host/bytes";
import { monotonicNs } from "./host/clock";
import { canCall, httpCall, HttpCallback } from "./host/http-call";
import { Inbox } from "./host/inbox";
import { isLogged, log, LogLevel } from "./host/log";
import { collectLater } from "./host/memory";
import { PairsWriter } from "./host/pairs";
import { Status } from "./host/status";
import { Identity } from "./identity";
import { Key, readKeys } from "./key";
import { KeySetRecord } from "./key-set-record";
import { countKeyFetch } from "./metrics";
import { AUTHORITY, METHOD, PATH } from "./names";
import { random, retryPauseMs } from "./retry";
import { Waiter, WaitList } from "./waiting";

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_SEC: i64 = 1_000_000_000;

/** How much longer than the call itself a fetch of another worker is waited for: after that the worker is taken for dead. */
const SLACK_MS: i64 = 1_000;
/** Google's set has 2 KiB. A larger answer than this is refused unread. */
const MAX_SET_BYTES: i32 = 128 << 10;

const KEY_PREFIX = Bytes.of("hopgate/1/keys/");
const GET = Bytes.of("GET");
const WARNING = Bytes.of("hopgate: no key set from ");
const WARNING_REASON = Bytes.of(": ");

/** How a fetch ended; also the label of the metric. */
const FETCHED = Bytes.of("ok");
const NO_CLUSTER = Bytes.of("cluster_missing");
const NO_ENDPOINT = Bytes.of("no_endpoint");
const RESET = Bytes.of("reset");
const BAD_STATUS = Bytes.of("bad_status");
const TOO_LARGE = Bytes.of("too_large");
const BAD_SET = Bytes.of("bad_key_set");

const record = new KeySetRecord();
const headers = new PairsWriter(4, 8192);
const noBody = Bytes.empty();
const body = new Inbox(4096, MAX_SET_BYTES);
const message = new Writer(4096);

/** What the other workers are at, by the record. */
const enum Others {
  /** Nothing that would help: fetch. */
  KnowNothing,
  /** One of them fetches. */
  Fetch,
  /** One has fetched within the cooldown, and found the set that this VM has too. */
  HaveTheSame,
}

/** Where the set comes from, and how long it is good. */
export class KeySource {
  cluster: Bytes = Bytes.empty();
  authority: Bytes = Bytes.empty();
  path: Bytes = Bytes.empty();
  cacheSec: i64 = 600;
  maxStaleSec: i64 = 3600;
  cooldownSec: i64 = 30;
  timeoutMs: i32 = 2000;

  /** Whether it is the same place. */
  equals(other: KeySource): bool {
    return this.cluster.equals(other.cluster) && this.authority.equals(other.authority) && this.path.equals(other.path);
  }
}

/** The sets of all roots in this VM that have ticked. */
const running: KeySet[] = [];

export class KeySet extends HttpCallback {
  private recordKey: Bytes;
  private keys: Key[] = [];
  /** Of the names in the set, whatever their order; 0 before the first. */
  private digest: i64 = 0;
  /** When the set came, by the monotonic clock; 0: never. */
  private setAtNs: i64 = 0;
  private usableUntilNs: i64 = 0;
  private refreshAtMs: i64 = 0;
  private retryAtMs: i64 = 0;
  private failures: i32 = 0;
  private fetching: bool = false;
  /** When this VM fetched last, by the monotonic clock. */
  private fetchedAtMs: i64 = i64.MIN_VALUE / 2;
  /** A token came whose key we do not have, and it is worth asking. */
  private wanted: bool = false;
  private waiters: WaitList = new WaitList();

  constructor(
    private source: KeySource,
    private algorithm: Algorithm,
    private identity: Identity,
  ) {
    super();
    const size = KEY_PREFIX.length + source.cluster.length + source.authority.length + source.path.length + 3;
    this.recordKey = new Writer(size)
      .append(KEY_PREFIX)
      .appendInteger(algorithm) // of one set, each takes its own keys
      .appendByte(Ascii.Slash)
      .append(source.cluster)
      .appendByte(Ascii.Slash)
      .append(source.authority)
      .append(source.path);
    this.inherit();
  }

  /** Begins with the set that the configuration before this one has: a new one must not need the issuer to be up. */
  private inherit(): void {
    for (let i = 0; i < running.length; i++) {
      const other = running[i];
      if (!other.source.equals(this.source) || other.algorithm != this.algorithm) continue;
      if (other.setAtNs == 0) continue; // it has none: by a clock that counts from the start of the machine, 0 may be of late
      for (let k = 0; k < other.keys.length; k++) this.keys.push(new Key(other.keys[k].id, other.keys[k].publicKey));
      this.digest = other.digest;
      this.fetchedAtMs = other.fetchedAtMs;
      this.freshen(other.setAtNs);
      return;
    }
  }

  /** How long a set is good that was fetched at `ns`. */
  private freshen(ns: i64): void {
    const source = this.source;
    this.setAtNs = ns;
    // Up to a tenth earlier, so that workers and proxies that began together do not all ask together.
    this.refreshAtMs = ns / NS_PER_MS + source.cacheSec * 1000 - (random(ns) % (source.cacheSec * 100 + 1));
    this.usableUntilNs = ns + (source.cacheSec + source.maxStaleSec) * NS_PER_SEC;
  }

  /** The first tick of its root, and the end of it. */
  open(): void {
    running.push(this);
  }

  close(): void {
    const index = running.indexOf(this);
    if (index >= 0) running.splice(index, 1);
    collectLater();
  }

  /** Whether there is a set that is not too old to go by. */
  isUsable(nowNs: i64): bool {
    return nowNs < this.usableUntilNs;
  }

  /** The key called `id`, or null. */
  find(id: Bytes): Key | null {
    for (let i = 0; i < this.keys.length; i++) {
      if (this.keys[i].id.equals(id)) return this.keys[i];
    }
    return null;
  }

  /**
   * Holds a request until the set has been fetched, where it is worth waiting: there is no set, or one that may be out of date.
   * `onSettled` says that it is time to look again.
   */
  hold(waiter: Waiter, nowNs: i64): bool {
    const identity = this.identity;
    if (identity.waitingForKeys >= identity.maxWaiters || !this.isWorthWaiting(nowNs)) return false;
    waiter.heldSinceNs = nowNs;
    this.waiters.add(waiter);
    identity.waitingForKeys += 1;
    return true;
  }

  /** Seconds until it is worth asking again, at least 1. */
  retryAfterSec(nowNs: i64): i64 {
    return max((this.retryAtMs - nowNs / NS_PER_MS + 999) / 1000, 1);
  }

  private isWorthWaiting(nowNs: i64): bool {
    if (this.fetching || this.wanted) return true;
    const nowMs = nowNs / NS_PER_MS;
    if (nowMs < this.retryAtMs) return false;
    if (!this.isUsable(nowNs)) return true; // the next tick fetches
    if (nowMs < this.fetchedAtMs + this.source.cooldownSec * 1000) return false;
    this.wanted = this.askOthers() != Others.HaveTheSame;
    return this.wanted;
  }

  private askOthers(): Others {
    if (!record.read(this.recordKey)) return Others.KnowNothing;
    // The clock is read behind the record, so that what another worker has just written is not ahead of it.
    const nowMs = monotonicNs() / NS_PER_MS;
    const startedMs = record.startedMs;
    const finishedMs = record.finishedMs;
    const isUnderWay = startedMs > finishedMs && nowMs < startedMs + this.source.timeoutMs + SLACK_MS;
    if (isUnderWay && startedMs <= nowMs) return Others.Fetch;
    const isRecent = finishedMs <= nowMs && nowMs < finishedMs + this.source.cooldownSec * 1000;
    return isRecent && record.digest == this.digest ? Others.HaveTheSame : Others.KnowNothing;
  }

  tick(nowNs: i64): void {
    const nowMs = nowNs / NS_PER_MS;
    if (this.waiters.size == 0) this.wanted = false; // whoever wanted it has gone
    if (!this.fetching) {
      if (nowMs < this.retryAtMs) this.settle(i64.MAX_VALUE);
      else if (!this.isUsable(nowNs) || nowMs >= this.refreshAtMs) this.fetch();
      else if (this.waiters.size > 0) this.followOthers();
    }
    // Whatever happens to whoever fetches, nobody waits for ever.
    this.settle(nowNs - (this.source.timeoutMs + 2 * SLACK_MS) * NS_PER_MS);
  }

  /** Requests wait because of a key that is not in our set. */
  private followOthers(): void {
    const others = this.askOthers();
    if (others == Others.Fetch) return;
    if (others == Others.HaveTheSame) return this.settle(i64.MAX_VALUE);
    // Of the workers that want to know, the first to write fetches; the rest see that at their next tick.
    record.startedMs = monotonicNs() / NS_PER_MS;
    if (!record.isReadable || record.write(this.recordKey)) this.fetch();
  }

  private fetch(): void {
    if (!canCall()) return;
    const source = this.source;
    expectAnswer();
    headers.reset().add(METHOD, GET).add(PATH, source.path).add(AUTHORITY, source.authority);
    const status = httpCall(this.identity.root, source.cluster, headers, noBody, source.timeoutMs, this);
    this.wanted = false;
    this.fetchedAtMs = monotonicNs() / NS_PER_MS;
    if (status == Status.Ok) this.fetching = true;
    else this.end(status == Status.BadArgument ? NO_CLUSTER : NO_ENDPOINT);
  }

  onHttpCallResponse(headerCount: i32, bodySize: i32): void {
    this.fetching = false;
    this.end(this.receive(headerCount, bodySize));
  }

  private receive(headerCount: i32, bodySize: i32): Bytes {
    const status = answerStatus(headerCount);
    if (status == 0) return RESET;
    if (status != 200) return BAD_STATUS;
    if (bodySize > MAX_SET_BYTES) return TOO_LARGE;
    if (!readAnswer(bodySize, MAX_SET_BYTES, body)) return BAD_SET;
    const keys = readKeys(body, this.algorithm);
    if (keys === null) return BAD_SET;
    this.replace(keys);
    return FETCHED;
  }

  /** Keys that are in both sets stay the objects that they are: tokens verified with them stay known. */
  private replace(keys: Key[]): void {
    for (let i = 0; i < this.keys.length; i++) this.keys[i].isCurrent = false;
    this.digest = 0;
    for (let i = 0; i < keys.length; i++) {
      this.digest += <i64>hash64(keys[i].id); // a sum: issuers do not keep an order
      const known = this.find(keys[i].id);
      if (known === null || !known.publicKey.equals(keys[i].publicKey)) continue;
      known.isCurrent = true;
      keys[i] = known;
    }
    this.keys = keys;
    collectLater();
  }

  private end(result: Bytes): void {
    const nowNs = monotonicNs();
    const nowMs = nowNs / NS_PER_MS;
    countKeyFetch(this.identity.hop, result);
    if (result === FETCHED) {
      this.failures = 0;
      this.retryAtMs = 0;
      this.freshen(nowNs);
    } else {
      this.warn(result);
      this.failures += 1;
      this.retryAtMs = nowMs + retryPauseMs(this.failures, nowNs);
    }
    if (record.read(this.recordKey)) {
      record.startedMs = 0;
      record.finishedMs = nowMs;
      record.digest = this.digest;
      record.write(this.recordKey);
    }
    this.settle(i64.MAX_VALUE);
  }

  private warn(reason: Bytes): void {
    if (!isLogged(LogLevel.Warn)) return;
    const where = message.reset().append(WARNING).append(this.source.authority).append(this.source.path);
    appendOrigin(where.append(WARNING_REASON).append(reason), this.source.cluster);
    log(LogLevel.Warn, where);
  }

  /** Lets everybody who has waited since `sinceNs` or longer look again. */
  private settle(sinceNs: i64): void {
    for (let waiter = this.waiters.takeSince(sinceNs); waiter !== null; waiter = this.waiters.takeSince(sinceNs)) {
      this.identity.waitingForKeys -= 1;
      waiter.onSettled(true);
    }
  }
}

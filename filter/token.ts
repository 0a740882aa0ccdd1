/**
 * The ID token of one audience in one VM: fetched before anybody needs it, shared with the other workers, refreshed
 * before it expires, and used for as long as it is valid whatever the metadata server does.
 *
 *                    ┌───────── tick ─────────┐
 *                    ▼                        │
 *     wanted? ──▶ read record ──▶ usable token in it? ── yes ──▶ adopt, release those who wait
 *                    │ no
 *                    ├── retry time ahead?  ──▶ refuse those who wait
 *                    ├── lease ahead?       ──▶ another worker fetches: look again at the next tick
 *                    └── take the lease ──▶ fetch ──▶ publish token, or failure and retry time
 *
 * A token is wanted while there is none, while requests wait, and when it is due for refresh.
 */
import { appendOrigin } from "./answer";
import { Ascii } from "./ascii";
import { Fetch } from "./fetch";
import { Bytes, Writer } from "./host/bytes";
import { monotonicNs, wallNs } from "./host/clock";
import { isLogged, log, LogLevel } from "./host/log";
import { collectLater } from "./host/memory";
import { ACCOUNT_UNKNOWN } from "./iam-credentials";
import { expiryOf } from "./id-token";
import { Identity, IdentityMode } from "./identity";
import { AUDIENCE_REFUSED, BAD_TOKEN, FETCHED } from "./metadata-server";
import { countTokenFetch, countTokenWaits } from "./metrics";
import { remember } from "./own-tokens";
import { random, retryPauseMs } from "./retry";
import { TokenRecord } from "./token-record";
import { Waiter, WaitList } from "./waiting";

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_SEC: i64 = 1_000_000_000;

/** A token is not used in its last seconds: it must still be valid when it has reached the service. */
const MARGIN_NS: i64 = 5 * NS_PER_SEC;
/** Spread of the refresh over the workers and proxies that got their tokens at the same time: so much earlier than asked, at most. */
const REFRESH_JITTER_MS: i64 = 10_000;
/** A source whose tokens are always due for refresh is asked no more often than this, or at half of their life. */
const REFRESH_PAUSE_MS: i64 = 30_000;
const REFRESH_FLOOR_MS: i64 = 1_000;
/** Pause after the source said that it has no token for this audience, or knows no such account. */
const REFUSED_PAUSE_MS: i64 = 30_000;
/** After so many in a row, the record is taken for one that another plugin keeps writing, and this worker goes on alone. */
const MAX_LOST_WRITES: i32 = 3;
/**
 * For so long at least, and twice as long at most, a record that says "not now" is believed; then this worker asks once, whoever keeps
 * writing that. A fetch that may be under way just then is waited for, and so are more after it, so that in an outage workers
 * come to that one after another.
 */
const MAX_TRUST_MS: i64 = 60_000;
const MAX_TRUSTED_LEASES: i64 = 30;
/** How much longer than the call itself a lease lasts: after that its holder is taken for dead. */
const LEASE_SLACK_MS: i64 = 1_000;

/**
 * Google's ID tokens live for one hour. One that claims to last longer than this is no token of Google's: it could have been put
 * into shared data by another plugin, and would never be replaced.
 */
const MAX_LIFE_SEC: i64 = 2 * 3600;

const METADATA_PREFIX = Bytes.of("hopgate/1/metadata/");
const IMPERSONATE_PREFIX = Bytes.of("hopgate/1/impersonate/");
const BEARER = Bytes.of("Bearer ");
const WAIT_RELEASED = Bytes.of("released");
const WAIT_REFUSED = Bytes.of("refused");
const MAX_KEY: i32 = 4096;
const WARNING = Bytes.of("hopgate: no ID token for audience ");
const WARNING_REASON = Bytes.of(": ");

const record = new TokenRecord();
const message = new Writer(4096);

export class Token {
  /** `Bearer TOKEN`, empty if there is none; use it only after `isUsable`. */
  header: Bytes = Bytes.empty();

  private key: Bytes;
  private expiresSec: i64 = 0;
  /** By the monotonic clock, so that a wall clock stepping back does not prolong a token. */
  private usableUntilNs: i64 = 0;
  /** As `usableUntilNs` was at first: what shared data still has of the token ends then too. */
  private endsNs: i64 = 0;
  private refreshAtMs: i64 = 0;
  private retryAtMs: i64 = 0;
  private fetch: Fetch;
  private fetching: bool = false;
  /** The lease that this VM took last: it may have ended, and be another worker's, when the fetch does. */
  private leaseUntilMs: i64 = 0;
  /** Fetches of this VM that failed since the last one that did not. */
  private failures: i32 = 0;
  /** Leases in a row that somebody else wrote over while this VM took them. */
  private lostWrites: i32 = 0;
  /** A token is wanted, and until then whatever the others say is a reason not to fetch it here; 0: it is not wanted. */
  private trustUntilMs: i64 = 0;
  private waiters: WaitList = new WaitList();

  constructor(
    readonly audience: Bytes,
    private identity: Identity,
  ) {
    this.key = keyOf(identity, audience);
    this.fetch = new Fetch(identity);
  }

  /** Whether `header` can go on a request that is sent at `nowNs` (monotonic). */
  isUsable(nowNs: i64): bool {
    return nowNs < this.usableUntilNs;
  }

  /**
   * Holds a request until the token is there; `onSettled` says how that ended. False if it must be refused instead: too
   * many wait, or the last fetch failed and the next is not due.
   */
  hold(waiter: Waiter, nowNs: i64): bool {
    const identity = this.identity;
    if (identity.waiting >= identity.maxWaiters || nowNs / NS_PER_MS < this.retryAtMs) return false;
    waiter.heldSinceNs = nowNs;
    this.waiters.add(waiter);
    identity.waiting += 1;
    return true;
  }

  /** Seconds until it is worth asking again, at least 1. */
  retryAfterSec(nowNs: i64): i64 {
    return max((this.retryAtMs - nowNs / NS_PER_MS + 999) / 1000, 1);
  }

  /** Looks whether another worker has published the token meanwhile: a request needs it and this VM has none. */
  adoptShared(nowNs: i64): bool {
    if (record.read(this.key)) this.takeFromRecord(nowNs);
    return this.isUsable(nowNs);
  }

  tick(nowNs: i64): void {
    this.followWallClock(nowNs);
    const nowMs = nowNs / NS_PER_MS;
    const wanted = this.waiters.size > 0 || !this.isUsable(nowNs) || nowMs >= this.refreshAtMs;
    if (!wanted) this.trustUntilMs = 0;
    if (wanted && !this.fetching && nowMs >= this.retryAtMs) this.obtain();
    // Whatever happens to the worker that fetches, nobody waits for ever.
    const patienceNs = (this.identity.timeoutMs + 2 * LEASE_SLACK_MS) * NS_PER_MS;
    this.settle(false, nowNs - patienceNs);
  }

  /** A token that expires earlier than thought, because the wall clock stepped ahead, is refreshed and given up earlier. */
  private followWallClock(nowNs: i64): void {
    if (this.usableUntilNs == 0) return;
    const untilNs = this.usableUntil(this.expiresSec, nowNs);
    if (untilNs >= this.usableUntilNs) return;
    this.refreshAtMs -= (this.usableUntilNs - untilNs) / NS_PER_MS;
    this.usableUntilNs = untilNs;
  }

  private usableUntil(expiresSec: i64, nowNs: i64): i64 {
    return nowNs + expiresSec * NS_PER_SEC - wallNs() - MARGIN_NS;
  }

  private obtain(): void {
    const isShared = record.read(this.key);
    // The clock is read behind the record: a lease that another worker has just taken would seem further ahead than any can be.
    const nowNs = monotonicNs();
    if (this.trustUntilMs == 0) this.trustUntilMs = nowNs / NS_PER_MS + MAX_TRUST_MS + (random(nowNs) % MAX_TRUST_MS);
    // Where the host cannot say what is shared, this worker goes on alone.
    if (isShared && this.isAnswered(nowNs)) {
      this.lostWrites = 0;
      return;
    }
    if (!this.fetch.isPossible() || (isShared && !this.takeLease(nowNs / NS_PER_MS))) return;
    this.lostWrites = 0;
    this.trustUntilMs = 0;
    this.fetching = true;
    const problem = this.fetch.start(this, nowNs);
    if (problem !== null) this.onFetched(problem, record.token);
  }

  /** Whether the record leaves nothing to be fetched, for now. */
  private isAnswered(nowNs: i64): bool {
    const nowMs = nowNs / NS_PER_MS;
    this.takeFromRecord(nowNs);
    if (this.isUsable(nowNs)) {
      this.settle(true, i64.MAX_VALUE);
      if (nowMs < this.refreshAtMs) return true;
    }
    const isLeased = isAhead(record.leaseUntilMs, nowMs, this.leaseMs);
    if (nowMs > this.trustUntilMs) return isLeased && nowMs <= this.trustUntilMs + MAX_TRUSTED_LEASES * this.leaseMs;
    if (isAhead(record.retryAtMs, nowMs, REFUSED_PAUSE_MS)) {
      this.retryAtMs = record.retryAtMs;
      this.settle(false, i64.MAX_VALUE);
      return true;
    }
    return isLeased;
  }

  private get leaseMs(): i64 {
    return this.identity.timeoutMs + LEASE_SLACK_MS;
  }

  private takeLease(nowMs: i64): bool {
    this.leaseUntilMs = nowMs + this.leaseMs;
    record.leaseUntilMs = this.leaseUntilMs;
    return record.write(this.key, record.token) || ++this.lostWrites >= MAX_LOST_WRITES;
  }

  /** Tells the other workers how the fetch ended: with `token`, or null. Again where somebody wrote at the same time. */
  private publish(token: Bytes | null): void {
    for (let i = 0; i < MAX_LOST_WRITES && record.read(this.key); i++) {
      if (record.leaseUntilMs == this.leaseUntilMs) record.leaseUntilMs = 0;
      record.retryAtMs = this.retryAtMs;
      record.failures = this.failures;
      if (record.write(this.key, token === null ? record.token : token)) return;
    }
  }

  /** The root goes, and the host cancels its calls: let another worker fetch at once instead of when the lease ends. */
  close(): void {
    if (!this.fetching || !record.read(this.key) || record.leaseUntilMs != this.leaseUntilMs) return;
    record.leaseUntilMs = 0;
    record.write(this.key, record.token);
  }

  /** How the fetch ended: FETCHED, and then `token` is what came, or why there is nothing. */
  onFetched(result: Bytes, token: Bytes): void {
    const nowNs = monotonicNs();
    this.fetching = false;
    if (result !== FETCHED) return this.fail(result, nowNs);
    if (!this.adopt(token, nowNs, i64.MAX_VALUE)) return this.fail(BAD_TOKEN, nowNs);
    countTokenFetch(this.identity.hop, FETCHED);
    this.retryAtMs = 0;
    this.failures = 0;
    // The source may return the token that we have: not due again before the pause, for no worker.
    if (nowNs / NS_PER_MS >= this.refreshAtMs) {
      this.refreshAtMs = this.refreshTime(this.usableUntilNs + MARGIN_NS, nowNs);
      this.retryAtMs = this.refreshAtMs;
    }
    this.publish(token);
    this.settle(true, i64.MAX_VALUE);
  }

  private fail(reason: Bytes, nowNs: i64): void {
    countTokenFetch(this.identity.hop, reason);
    if (isLogged(LogLevel.Warn)) {
      message.reset().append(WARNING).append(this.audience).append(WARNING_REASON).append(reason);
      appendOrigin(message, this.fetch.asked);
      log(LogLevel.Warn, message);
    }
    // A worker that took over meanwhile may have had more luck.
    if (record.read(this.key)) this.takeFromRecord(nowNs);
    this.failures = min(max(record.failures, this.failures), 16) + 1;
    const isRefused = reason === AUDIENCE_REFUSED || reason === ACCOUNT_UNKNOWN;
    const pauseMs = isRefused ? REFUSED_PAUSE_MS : retryPauseMs(this.failures, nowNs);
    this.retryAtMs = nowNs / NS_PER_MS + pauseMs;
    this.publish(null);
    this.settle(this.isUsable(nowNs), i64.MAX_VALUE);
  }

  private takeFromRecord(nowNs: i64): void {
    if (record.token.length > 0) this.adopt(record.token, nowNs, this.endsNs);
  }

  /**
   * Makes `token` the current one if it is for our audience and lasts longer than what there is. False: it is no use. If it is no
   * newer than the last one, it lasts until `limitNs` at most, so that a wall clock that stepped back does not revive it.
   */
  private adopt(token: Bytes, nowNs: i64, limitNs: i64): bool {
    const expiresSec = expiryOf(token, this.audience);
    if (expiresSec < 0 || expiresSec - wallNs() / NS_PER_SEC > MAX_LIFE_SEC) return false;
    let untilNs = this.usableUntil(expiresSec, nowNs);
    if (expiresSec <= this.expiresSec) untilNs = min(untilNs, limitNs);
    if (untilNs <= nowNs) return false;
    if (this.isUsable(nowNs) && expiresSec <= this.expiresSec) return true;
    this.header = new Writer(BEARER.length + token.length).append(BEARER).append(token);
    collectLater();
    this.expiresSec = expiresSec;
    this.usableUntilNs = untilNs;
    this.endsNs = untilNs;
    this.refreshAtMs = this.refreshTime(untilNs + MARGIN_NS, nowNs);
    remember(this.header, this.identity.hopHash, untilNs + MARGIN_NS, nowNs);
    return true;
  }

  private refreshTime(expiresNs: i64, nowNs: i64): i64 {
    const nowMs = nowNs / NS_PER_MS;
    const leftMs = expiresNs / NS_PER_MS - nowMs;
    // Never so late that the fetch could not be over while the token is still used.
    const beforeMs = max<i64>(
      <i64>this.identity.refreshBeforeSec * 1000,
      MARGIN_NS / NS_PER_MS + this.identity.timeoutMs,
    );
    const dueMs = leftMs - beforeMs;
    if (dueMs > 0) return nowMs + dueMs - (random(nowNs) % min(REFRESH_JITTER_MS, dueMs / 10 + 1));
    return nowMs + max(min(REFRESH_PAUSE_MS, (leftMs - MARGIN_NS / NS_PER_MS) / 2), REFRESH_FLOOR_MS);
  }

  /** Ends the wait of everybody who has waited since `sinceNs` or longer. */
  private settle(available: bool, sinceNs: i64): void {
    let count = 0;
    for (let waiter = this.waiters.takeSince(sinceNs); waiter !== null; waiter = this.waiters.takeSince(sinceNs)) {
      this.identity.waiting -= 1;
      count += 1;
      waiter.onSettled(available);
    }
    countTokenWaits(this.identity.hop, available ? WAIT_RELEASED : WAIT_REFUSED, count);
  }
}

/**
 * `hopgate/1/`, then the mode, the account, the clusters and the audience. No account has a slash, and a token is used for its
 * own audience only, so two sources that differ in anything never read one another's tokens.
 */
function keyOf(identity: Identity, audience: Bytes): Bytes {
  const key = new Writer(MAX_KEY);
  if (identity.mode == IdentityMode.Impersonate) {
    key.append(IMPERSONATE_PREFIX).append(identity.serviceAccount).appendByte(Ascii.Slash);
    key.append(identity.credentialsCluster).appendByte(Ascii.Slash);
  } else {
    key.append(METADATA_PREFIX);
  }
  return key.append(identity.cluster).appendByte(Ascii.Slash).append(audience).copy();
}

/** Whether `timeMs` is yet to come, and no further off than we would have put it ourselves. */
function isAhead(timeMs: i64, nowMs: i64, limitMs: i64): bool {
  return timeMs > nowMs && timeMs - nowMs <= limitMs;
}

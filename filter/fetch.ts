/**
 * One ID token being fetched, by one call or by two:
 *
 *     metadata      start ─────────────────────────────────▶ metadata server ─▶ token
 *     impersonate   start ─▶ access token (kept, or fetched) ─▶ IAM Credentials ─▶ token
 *
 * Both calls together take no longer than `timeoutMs`.
 */
import { Bytes } from "./host/bytes";
import { monotonicNs } from "./host/clock";
import { canCall, HttpCallback } from "./host/http-call";
import { receiveImpersonated, requestImpersonated, UNAUTHENTICATED } from "./iam-credentials";
import { Identity, IdentityMode } from "./identity";
import { receiveFromMetadata, requestIdToken } from "./metadata-server";
import { Token } from "./token";

const NS_PER_MS: i64 = 1_000_000;
/** However many audiences wait for a source that hangs, callers can be checked. */
const LEFT_FOR_KEYS: i32 = 32;

const content = Bytes.empty();
const nothing = Bytes.empty();

export class Fetch extends HttpCallback {
  /** The cluster that was asked last. */
  asked: Bytes;
  /** By the monotonic clock. */
  private endsNs: i64 = 0;
  /** Whom it is for, from `start` on. */
  private token: Token | null = null;

  constructor(private identity: Identity) {
    super();
    this.asked = identity.cluster;
  }

  /** Whether one more can be under way, and calls for key sets beside it. */
  isPossible(): bool {
    return canCall(this.identity.accessToken.demanded + 1 + LEFT_FOR_KEYS);
  }

  /** Null: it is under way, and `token.onFetched` will be told how it ended. Else why it is not. */
  start(token: Token, nowNs: i64): Bytes | null {
    const identity = this.identity;
    this.token = token;
    this.asked = identity.cluster;
    if (identity.mode != IdentityMode.Impersonate) return requestIdToken(identity, token.audience, this);
    this.endsNs = nowNs + identity.timeoutMs * NS_PER_MS;
    if (identity.accessToken.isUsable(nowNs)) return this.impersonate(token, nowNs);
    return identity.accessToken.demand(identity, this);
  }

  private impersonate(token: Token, nowNs: i64): Bytes | null {
    this.asked = this.identity.credentialsCluster;
    const leftMs = max((this.endsNs - nowNs) / NS_PER_MS, 1);
    return requestImpersonated(this.identity, token.audience, <i32>leftMs, this);
  }

  /** The access token is there, or `problem` says why it is not. */
  onAccessToken(problem: Bytes | null): void {
    const token = this.token;
    if (token === null) return;
    const failure = problem === null ? this.impersonate(token, monotonicNs()) : problem;
    if (failure !== null) token.onFetched(failure, nothing);
  }

  onHttpCallResponse(headers: i32, bodySize: i32): void {
    const result = this.receive(headers, bodySize);
    const token = this.token;
    if (token !== null) token.onFetched(result, content);
  }

  private receive(headers: i32, bodySize: i32): Bytes {
    const identity = this.identity;
    if (identity.mode != IdentityMode.Impersonate) return receiveFromMetadata(headers, bodySize, content);
    const result = receiveImpersonated(headers, bodySize, content);
    if (result === UNAUTHENTICATED) identity.accessToken.drop();
    return result;
  }
}

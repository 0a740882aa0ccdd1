/**
 * One request at one hop.
 *
 *     Headers ──▶ WaitingForKeys ──▶ WaitingForToken ──▶ Forwarded ──▶ Answered
 *        │               │                  │
 *        └───────────────┴────── or ────────┴──▶ Refused ──▶ Answered       Ignored: a bypassed path
 *
 * Either wait is left out where there is nothing to wait for.
 *
 * Every request is sanitised first, whatever becomes of it; what the filter needs of its headers has been read by then.
 */
import { Ascii } from "./ascii";
import { Backend, TokenHeader } from "./backend";
import { Config, Expose } from "./config";
import {
  HOST_INVALID,
  KEYS_UNAVAILABLE,
  ReplyError,
  ROUTE_UNMATCHED,
  TOKEN_UNAVAILABLE,
  UPGRADE_UNSUPPORTED,
} from "./errors";
import { HostName } from "./host-name";
import { Bytes, Writer } from "./host/bytes";
import { monotonicNs } from "./host/clock";
import { Action } from "./host/context";
import { addHeader, getHeader, HeaderMap, removeHeader, replaceHeader } from "./host/headers";
import { Inbox } from "./host/inbox";
import { getProperty } from "./host/property";
import { Status } from "./host/status";
import { continueRequest, setEffectiveContext } from "./host/stream";
import { ABORTED, OK } from "./metrics";
import {
  AUTHORIZATION,
  FORWARDED_HOST,
  AUTHORITY,
  OWN_BACKEND,
  OWN_CALLER,
  OWN_PATH,
  OWN_TIMING,
  OWN_TRACE,
  SERVER_TIMING,
  SERVERLESS_AUTHORIZATION,
} from "./names";
import { isOwn } from "./own-tokens";
import { reply } from "./reply";
import { RequestHead } from "./request-head";
import { Route } from "./route";
import { appendTiming, isTiming, MAX_TIMING } from "./timing";
import { stamp } from "./stamp";
import { Token } from "./token";
import { Validator, Verdict } from "./validator";
import { Waiter } from "./waiting";
import { RequestPool } from "./request-pool";

const enum Phase {
  Headers,
  /** Held until the keys are there that the caller's token is checked with. */
  WaitingForKeys,
  /** Held until the token is there that the backend needs. */
  WaitingForToken,
  Forwarded,
  /** Answered by the filter; the answer is still to pass through the response headers. */
  Refused,
  Answered,
  /** Not ours to touch: a bypassed path. */
  Ignored,
}

/** For whose keys a request was held last; in the order in which validators are asked. */
const enum Held {
  Never,
  ForHop,
  ForRoute,
}

const CONNECT = Bytes.of("CONNECT");
const WEBSOCKET = Bytes.of("websocket");
const FILTER_CHAIN = Bytes.of("xds\0filter_chain_name");

const head = new RequestHead();
const host = new HostName();
const chain = new Inbox(512, 4096);
const service = Bytes.empty();
const sticky = Bytes.empty();
const counter = new Writer(20);
const inner = new Inbox(512, 65_536);
const timing = new Writer(MAX_TIMING + 512);

export class Request extends Waiter {
  private phase: Phase = Phase.Headers;
  private backend: Backend;
  /** Whom the caller must satisfy beside the validator of the hop. */
  private ofRoute: Validator | null = null;
  private matched: bool = false;
  private held: Held = Held.Never;
  private result: Bytes = ABORTED;
  /** The answer may carry `Server-Timing`. */
  private exposed: bool = false;
  /** The caller sent an `authorization` of its own. */
  private hasAuthorization: bool = false;
  private startNs: i64 = 0;
  private forwardedNs: i64 = 0;
  private waitNs: i64 = 0;

  constructor(
    private config: Config,
    private pool: RequestPool,
  ) {
    super();
    this.backend = config.unmatched;
  }

  onRequestHeaders(_headers: i32, _endOfStream: bool): Action {
    this.startNs = monotonicNs();
    if (!head.read()) return this.refuse(HOST_INVALID);
    const config = this.config;
    this.exposed = isExposed(config);
    const found = config.matchService ? findService() : host.parse(head.authority);
    if (!removeOwnTokens(config.identity.hopHash)) return this.refuse(TOKEN_UNAVAILABLE);
    this.hasAuthorization = head.hasAuthorization;
    this.sanitise(config);
    const name: Bytes = config.matchService ? service : host.name;
    if (isBypassed(config, found ? name : null)) {
      this.phase = Phase.Ignored;
      return Action.Continue;
    }
    if (!found) return this.refuse(HOST_INVALID);
    const route = config.hosts.find(name);
    if (route === null && config.rejectUnmatched) return this.refuse(ROUTE_UNMATCHED);
    if (route !== null) {
      this.matched = true;
      this.backend = route.choose(this.keyFor(route));
      if (route.validator !== config.validator) this.ofRoute = route.validator;
    }
    const path = stamp(config.hop, config.edge, head.stamps);
    if (path !== null) setOwn(OWN_PATH, path);
    return this.admit();
  }

  /**
   * Every hop takes away what only hops may say about identity and routing, and what is spelled as no hop would; an edge,
   * everything that looks like ours.
   */
  private sanitise(config: Config): void {
    if (!head.hasOwn) return;
    for (let name = head.nextOwn(); name !== null; name = head.nextOwn()) {
      const isForged = name.equals(OWN_BACKEND) || name.equals(OWN_CALLER) || name.indexOf(Ascii.Underscore) >= 0;
      // The key has done its work where the time is told; the service need not know it.
      const isSpent = this.exposed && name.equals(OWN_TRACE);
      if (config.edge || isForged || isSpent) removeHeader(HeaderMap.Request, name);
    }
  }

  /** Lets the caller in if everybody who is to check it is satisfied. Run again when a request was held for keys. */
  private admit(): Action {
    const ofHop = this.config.validator;
    const ofRoute = this.ofRoute;
    if (ofHop !== null && !this.satisfies(ofHop, Held.ForHop)) return Action.Pause;
    if (ofRoute !== null && !this.satisfies(ofRoute, Held.ForRoute)) return Action.Pause;
    // Only now is anything changed: whoever is asked again must find what it found before.
    if (ofHop !== null && !this.introduce(ofHop)) return this.refuse(KEYS_UNAVAILABLE);
    if (ofRoute !== null && !this.introduce(ofRoute)) return this.refuse(KEYS_UNAVAILABLE);
    return this.matched ? this.follow() : this.forward();
  }

  /** False: the request is refused, or held. It is held once for each validator, so that it cannot wait for ever. */
  private satisfies(validator: Validator, hold: Held): bool {
    const nowNs = this.held == Held.Never ? this.startNs : monotonicNs();
    const verdict = validator.check(head, nowNs);
    if (verdict == Verdict.Accepted) return true;
    const keys = validator.keys;
    if (verdict == Verdict.KeysWanted) {
      if (this.held < hold && keys.hold(this, nowNs)) {
        this.held = hold;
        this.phase = Phase.WaitingForKeys;
        this.pool.hurry();
        return false;
      }
      validator.giveUp();
    }
    this.refuse(validator.reason, validator.reason === KEYS_UNAVAILABLE ? keys.retryAfterSec(nowNs) : 0);
    return false;
  }

  /** Tells those behind who calls, and takes the caller's token away where it is not theirs to see. False: the host refuses. */
  private introduce(validator: Validator): bool {
    validator.countAccepted();
    const caller = validator.caller;
    if (caller.length > 0 && replaceHeader(HeaderMap.Request, OWN_CALLER, caller) != Status.Ok) return false;
    if (validator.forwards) return true;
    if (validator.carrier === AUTHORIZATION) this.hasAuthorization = false;
    return removeHeader(HeaderMap.Request, validator.carrier) == Status.Ok;
  }

  private follow(): Action {
    const backend = this.backend;
    setOwn(OWN_BACKEND, backend.name);
    const authority = backend.authority;
    if (authority !== null) {
      replaceHeader(HeaderMap.Request, FORWARDED_HOST, head.authority);
      replaceHeader(HeaderMap.Request, AUTHORITY, authority);
    }
    return backend.wantsToken ? this.identify(backend.token) : this.forward();
  }

  private keyFor(route: Route): Bytes {
    const name = route.sticky;
    if (name !== null && head.find(name, sticky)) return sticky;
    if (head.requestId.length > 0) return head.requestId;
    return counter.reset().appendInteger(this.pool.draw());
  }

  /** `token` null: the mesh around this hop adds it, and must not find one of the caller's in its place. */
  private identify(token: Token | null): Action {
    if (head.method.equals(CONNECT) || (head.upgrade.length > 0 && !head.upgrade.equalsIgnoreCase(WEBSOCKET))) {
      return this.refuse(UPGRADE_UNSUPPORTED);
    }
    if (head.hasServerlessAuthorization && removeHeader(HeaderMap.Request, SERVERLESS_AUTHORIZATION) != Status.Ok) {
      return this.refuse(TOKEN_UNAVAILABLE);
    }
    if (token === null) return this.forward();
    const nowNs = this.waitNs == 0 ? this.startNs : monotonicNs();
    if (token.isUsable(nowNs) || token.adoptShared(nowNs)) {
      return this.attach(token) ? this.forward() : this.refuse(TOKEN_UNAVAILABLE);
    }
    if (!token.hold(this, nowNs)) return this.refuse(TOKEN_UNAVAILABLE, token.retryAfterSec(nowNs));
    this.phase = Phase.WaitingForToken;
    this.pool.hurry();
    return Action.Pause;
  }

  onSettled(available: bool): void {
    if (setEffectiveContext(this.id) != Status.Ok) return;
    const nowNs = monotonicNs();
    this.waitNs += nowNs - this.heldSinceNs;
    const goesOn = this.phase == Phase.WaitingForKeys ? this.goOnWithKeys() : this.goOnWithToken(available, nowNs);
    if (goesOn == Action.Continue) continueRequest();
  }

  private goOnWithKeys(): Action {
    this.phase = Phase.Headers;
    return head.read() ? this.admit() : this.refuse(KEYS_UNAVAILABLE);
  }

  private goOnWithToken(available: bool, nowNs: i64): Action {
    const token = this.backend.token;
    if (token !== null && available && token.isUsable(nowNs) && this.attach(token)) return this.forward();
    return this.refuse(TOKEN_UNAVAILABLE, token === null ? 0 : token.retryAfterSec(nowNs));
  }

  /** False if the host does not take the header: then the request must not go on. */
  private attach(token: Token): bool {
    const choice = this.backend.tokenHeader;
    const serverless =
      choice == TokenHeader.ServerlessAuthorization || (choice == TokenHeader.Auto && this.hasAuthorization);
    const name = serverless ? SERVERLESS_AUTHORIZATION : AUTHORIZATION;
    return replaceHeader(HeaderMap.Request, name, token.header) == Status.Ok;
  }

  private forward(): Action {
    this.phase = Phase.Forwarded;
    this.forwardedNs = monotonicNs();
    return Action.Continue;
  }

  private refuse(error: ReplyError, retryAfterSec: i64 = 0): Action {
    this.phase = Phase.Refused;
    this.result = error.code;
    reply(error, retryAfterSec);
    return Action.Pause;
  }

  onResponseHeaders(_headers: i32, _endOfStream: bool): Action {
    if (this.phase != Phase.Forwarded && this.phase != Phase.Refused) {
      removeHeader(HeaderMap.Response, OWN_TIMING); // nothing is told, and nobody else's word is passed on
      return Action.Continue;
    }
    const nowNs = monotonicNs();
    if (this.phase == Phase.Forwarded) this.result = OK;
    else this.forwardedNs = nowNs;
    this.phase = Phase.Answered;
    const totalNs = nowNs - this.startNs;
    const upstreamNs = nowNs - this.forwardedNs;
    this.tellTime(totalNs, upstreamNs);
    const selfNs = totalNs - upstreamNs - this.waitNs;
    this.backend.metrics.recordHeaders(totalNs / 1000, upstreamNs / 1000, this.waitNs / 1000, selfNs / 1000);
    return Action.Continue;
  }

  /** To the hop in front as `x-hopgate-timing`, or to the client as `Server-Timing`; an edge tells nobody else. */
  private tellTime(totalNs: i64, upstreamNs: i64): void {
    const config = this.config;
    timing.reset();
    if (config.edge && !this.exposed) {
      removeHeader(HeaderMap.Response, OWN_TIMING);
      return;
    }
    // What a service says there itself is not a hop's word: only where a hop of ours is behind is it read, else replaced.
    const isBehind = this.backend.through && this.result === OK;
    if (isBehind && getHeader(HeaderMap.Response, OWN_TIMING, inner) == Status.Ok && isTiming(inner))
      timing.append(inner);
    appendTiming(timing, config.hop, totalNs, upstreamNs, this.waitNs);
    if (this.exposed) {
      removeHeader(HeaderMap.Response, OWN_TIMING);
      addHeader(HeaderMap.Response, SERVER_TIMING, timing);
    } else {
      replaceHeader(HeaderMap.Response, OWN_TIMING, timing);
    }
  }

  onDelete(): void {
    const identity = this.config.identity;
    const wasHeld = this.leave();
    if (wasHeld && this.phase == Phase.WaitingForKeys) identity.waitingForKeys -= 1;
    else if (wasHeld) identity.waiting -= 1;
    if (this.phase != Phase.Ignored && this.phase != Phase.Headers) {
      this.backend.metrics.countRequest(this.result);
      this.backend.metrics.recordStream((monotonicNs() - this.startNs) / 1000);
    }
    this.pool.giveBack(this);
  }

  /** As new, for the next stream. */
  reset(): void {
    this.phase = Phase.Headers;
    this.backend = this.config.unmatched;
    this.ofRoute = null;
    this.matched = false;
    this.held = Held.Never;
    this.result = ABORTED;
    this.exposed = false;
    this.waitNs = 0;
  }
}

/**
 * What an earlier pass of this request was given (an internal redirect, see `own-tokens.ts`) goes before anything is decided, and
 * is then as if it had never been there. False if the host does not take it away: then the request must not go on.
 */
function removeOwnTokens(hop: i64): bool {
  const inAuthorization = head.hasAuthorization && isOwn(head.authorization, hop);
  const inServerless = head.hasServerlessAuthorization && isOwn(head.serverlessAuthorization, hop);
  if (!inAuthorization && !inServerless) return true;
  if (inAuthorization && removeHeader(HeaderMap.Request, AUTHORIZATION) != Status.Ok) return false;
  if (inServerless && removeHeader(HeaderMap.Request, SERVERLESS_AUTHORIZATION) != Status.Ok) return false;
  return head.read();
}

/** Where nothing came that looks like ours there is nothing to replace, and to add costs the host half as much. */
function setOwn(name: Bytes, value: Bytes): void {
  if (head.hasOwn) replaceHeader(HeaderMap.Request, name, value);
  else addHeader(HeaderMap.Request, name, value);
}

function isExposed(config: Config): bool {
  if (config.expose == Expose.Always) return true;
  return config.expose == Expose.Trace && config.traceKey.length > 0 && head.trace.equals(config.traceKey);
}

/** The service that Envoy chose by address: the last part of `inbound-vip|80|http|SERVICE`. */
function findService(): bool {
  service.clear();
  if (getProperty(FILTER_CHAIN, chain) != Status.Ok) return false;
  const start = chain.lastIndexOf(Ascii.Bar) + 1;
  service.point(chain, start, chain.length - start);
  return service.length > 0;
}

/** `name`: the host, or at a waypoint the service; null: not known. */
function isBypassed(config: Config, name: Bytes | null): bool {
  const list = config.bypass;
  for (let i = 0; i < list.length; i++) {
    if (list[i].matches(head.path, name)) return true;
  }
  return false;
}

/**
 * What the filter counts. The names have the form that the bootstrap of Istio's proxies turns into labels:
 *
 *     hopgate_requests.hop=.=ingress;.;backend=.=kb;.;result=.=ok;.;
 *
 * All label values come from the configuration or from constants, never from a request. Histograms are in microseconds.
 */
import { Bytes, Writer } from "./host/bytes";
import { wallNs } from "./host/clock";
import { defineMetric, incrementMetric, MetricKind, NO_METRIC, recordMetric } from "./host/metrics";
import { MODULE } from "./module";

const NAME = new Writer(512);

const HOP = Bytes.of(".hop=.=");
const BACKEND = Bytes.of("backend=.=");
const RESULT = Bytes.of("result=.=");
const CONFIG = Bytes.of("config=.=");
const MODULE_LABEL = Bytes.of("module=.=");
const END = Bytes.of(";.;");

const REQUESTS = Bytes.of("hopgate_requests");
const TOTAL = Bytes.of("hopgate_total_us");
const UPSTREAM = Bytes.of("hopgate_upstream_us");
const SELF = Bytes.of("hopgate_self_us");
const WAIT = Bytes.of("hopgate_wait_us");
const STREAM = Bytes.of("hopgate_stream_us");
const TOKEN_FETCHES = Bytes.of("hopgate_token_fetches");
const TOKEN_WAITS = Bytes.of("hopgate_token_waits");
const VALIDATIONS = Bytes.of("hopgate_validations");
const KEY_FETCHES = Bytes.of("hopgate_key_fetches");
const RUNNING = Bytes.of("hopgate_config");
const RUNNING_SINCE = Bytes.of("hopgate_config_timestamp_seconds");
const REQUEST_ERROR = Bytes.of("hopgate_request_error_timestamp_seconds");
const TOKEN_FETCH_ERROR = Bytes.of("hopgate_token_fetch_error_timestamp_seconds");
const KEY_FETCH_ERROR = Bytes.of("hopgate_key_fetch_error_timestamp_seconds");

/** Result of a request that was forwarded and answered. */
export const OK = Bytes.of("ok");
/** Result of a request that ended before anybody answered. */
export const ABORTED = Bytes.of("aborted");
/** The backend of requests that no route matched; no name of a configuration has an underscore. */
export const UNMATCHED = Bytes.of("_unmatched");

/** Distinct results of one counter: `ok`, `aborted` and the error codes. */
const MAX_RESULTS: i32 = 24;

/** A counter for each result. It is defined when the result first occurs. */
export class ResultCounter {
  private results: StaticArray<Bytes | null> = new StaticArray<Bytes | null>(MAX_RESULTS);
  private counters: StaticArray<i32> = new StaticArray<i32>(MAX_RESULTS);

  constructor(
    private name: Bytes,
    private hop: Bytes,
    private backend: Bytes | null,
  ) {}

  /** One more with this result, which must be a constant: it is known again by identity. */
  count(result: Bytes): void {
    for (let i = 0; i < MAX_RESULTS; i++) {
      const known = this.results[i];
      if (known === result) {
        incrementMetric(this.counters[i], 1);
        return;
      }
      if (known === null) {
        this.results[i] = result;
        this.counters[i] = this.define(result);
        incrementMetric(this.counters[i], 1);
        return;
      }
    }
  }

  private define(result: Bytes): i32 {
    const writer = begin(this.name, this.hop);
    const backend = this.backend;
    if (backend !== null) label(writer, BACKEND, backend);
    return defineMetric(MetricKind.Counter, label(writer, RESULT, result));
  }
}

/** Tokens of callers that were checked, by what came of it. */
export function validationCounter(hop: Bytes): ResultCounter {
  return new ResultCounter(VALIDATIONS, hop, null);
}

/**
 * The metrics of one backend at one hop. Each is defined when it is first needed: defining costs several times what recording
 * does, and `proxy_on_configure` also runs where nothing will ever be recorded.
 */
export class BackendMetrics {
  private total: i32 = UNDEFINED;
  private upstream: i32 = UNDEFINED;
  private self: i32 = UNDEFINED;
  private wait: i32 = UNDEFINED;
  private stream: i32 = UNDEFINED;
  private requests: ResultCounter;

  constructor(
    private hop: Bytes,
    private backend: Bytes,
  ) {
    this.requests = new ResultCounter(REQUESTS, hop, backend);
  }

  /** One request more with this result, which must be a constant. */
  countRequest(result: Bytes): void {
    this.requests.count(result);
    if (result !== OK && result !== ABORTED) recordTime(REQUEST_ERROR, this.hop, result);
  }

  recordHeaders(totalUs: i64, upstreamUs: i64, waitUs: i64, selfUs: i64): void {
    if (this.total == UNDEFINED) this.defineHistograms();
    recordMetric(this.total, totalUs);
    recordMetric(this.upstream, upstreamUs);
    recordMetric(this.self, selfUs);
    if (waitUs > 0) recordMetric(this.wait, waitUs);
  }

  recordStream(streamUs: i64): void {
    if (this.total == UNDEFINED) this.defineHistograms();
    recordMetric(this.stream, streamUs);
  }

  private defineHistograms(): void {
    this.total = defineMetric(MetricKind.Histogram, this.begin(TOTAL));
    this.upstream = defineMetric(MetricKind.Histogram, this.begin(UPSTREAM));
    this.self = defineMetric(MetricKind.Histogram, this.begin(SELF));
    this.wait = defineMetric(MetricKind.Histogram, this.begin(WAIT));
    this.stream = defineMetric(MetricKind.Histogram, this.begin(STREAM));
  }

  private begin(name: Bytes): Writer {
    return label(begin(name, this.hop), BACKEND, this.backend);
  }
}

/** Not yet asked for; NO_METRIC is what the host refused. */
const UNDEFINED: i32 = NO_METRIC - 1;

/** Fetches of tokens, by how they ended, and when one last failed so. Rare, so defined anew each time. */
export function countTokenFetch(hop: Bytes, result: Bytes): void {
  incrementMetric(defineMetric(MetricKind.Counter, label(begin(TOKEN_FETCHES, hop), RESULT, result)), 1);
  if (!result.equals(OK)) recordTime(TOKEN_FETCH_ERROR, hop, result);
}

/** Fetches of key sets, likewise. */
export function countKeyFetch(hop: Bytes, result: Bytes): void {
  incrementMetric(defineMetric(MetricKind.Counter, label(begin(KEY_FETCHES, hop), RESULT, result)), 1);
  if (!result.equals(OK)) recordTime(KEY_FETCH_ERROR, hop, result);
}

/** Requests that had to wait for a token, by how that ended. */
export function countTokenWaits(hop: Bytes, result: Bytes, count: i32): void {
  if (count > 0)
    incrementMetric(defineMetric(MetricKind.Counter, label(begin(TOKEN_WAITS, hop), RESULT, result)), count);
}

/** The gauge that says which configuration of which build runs: as many as there are VMs that run it. */
export function defineRunning(hop: Bytes, config: Bytes): i32 {
  return defineMetric(MetricKind.Gauge, ofConfiguration(RUNNING, hop, config));
}

/** Says when the configuration was last begun with: by the first VM, or by one that was loaded anew after a trap. */
export function recordRunningSince(hop: Bytes, config: Bytes): void {
  recordMetric(defineMetric(MetricKind.Gauge, ofConfiguration(RUNNING_SINCE, hop, config)), wallNs() / NS_PER_S);
}

function ofConfiguration(name: Bytes, hop: Bytes, config: Bytes): Writer {
  return label(label(begin(name, hop), CONFIG, config), MODULE_LABEL, MODULE);
}

/** Gauges of when something last happened: seconds since 1970, as Prometheus has them. */
function recordTime(name: Bytes, hop: Bytes, result: Bytes): void {
  recordMetric(defineMetric(MetricKind.Gauge, label(begin(name, hop), RESULT, result)), wallNs() / NS_PER_S);
}

const NS_PER_S: i64 = 1_000_000_000;

function begin(name: Bytes, hop: Bytes): Writer {
  return NAME.reset().append(name).append(HOP).append(hop).append(END);
}

function label(writer: Writer, name: Bytes, value: Bytes): Writer {
  return writer.append(name).append(value).append(END);
}

import { samplesIn, type Sample } from "./prometheus.js";
import type { ExpectedHop } from "./revision.js";

/** What a proxy says about itself, from its metrics. */
export interface ProxyReport {
  /** Workers of Envoy; undefined: not said. */
  readonly workers: number | undefined;
  /** The filters that run, by hop. */
  readonly running: readonly RunningFilter[];
  /** Bytes that it got from istiod so far: they grow when something new arrives. */
  readonly configurationBytes: number;
  /** Ended requests of the filter, by result. */
  readonly requests: Readonly<Record<string, number>>;
  /** Ended fetches of tokens, by result. */
  readonly tokenFetches: Readonly<Record<string, number>>;
  /** Ended fetches of key sets, by result. */
  readonly keyFetches: Readonly<Record<string, number>>;
  /** When requests and fetches of the filter last failed, the newest first. */
  readonly errors: readonly ProxyError[];
  /** Whether the filter's metrics have labels, not names with everything in them; undefined: it has none. */
  readonly hasLabels: boolean | undefined;
}

export interface RunningFilter {
  readonly hop: string;
  readonly config: string;
  readonly module: string;
  /** VMs that run it: workers, and the main thread. */
  readonly vms: number;
  /** When the last of them began, in seconds since 1970; undefined: it does not say, as builds before that metric. */
  readonly sinceSec: number | undefined;
}

/** Something that failed at a proxy, and when it last did. */
export interface ProxyError {
  readonly hop: string;
  readonly what: "request" | "token fetch" | "key fetch";
  /** A code of the filter, as the label `result` has it. */
  readonly code: string;
  /** Seconds since 1970. */
  readonly atSec: number;
}

const ERROR_TIMES: Readonly<Record<string, ProxyError["what"]>> = {
  hopgate_request_error_timestamp_seconds: "request",
  hopgate_token_fetch_error_timestamp_seconds: "token fetch",
  hopgate_key_fetch_error_timestamp_seconds: "key fetch",
};

/** The names of the metrics that are read here, for Envoy's `filter`: all of them would be megabytes. */
export const STATS_FILTER = "hopgate_|^server\\.concurrency|^cluster\\.xds-grpc;?\\.upstream_cx_rx_bytes_total";

export function reportIn(metrics: string): ProxyReport {
  const samples = samplesIn(metrics);
  const sum = (name: string): number | undefined => {
    const values = samples.filter((sample) => sample.name === name).map(({ value }) => value);
    return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0);
  };
  return {
    workers: sum("server_concurrency"),
    running: samples
      .filter(({ name, value }) => name === "hopgate_config" && value > 0)
      .map((sample) => filterOf(sample, samples)),
    configurationBytes: sum("cluster_upstream_cx_rx_bytes_total") ?? 0,
    requests: resultsOf(samples, "hopgate_requests"),
    tokenFetches: resultsOf(samples, "hopgate_token_fetches"),
    keyFetches: resultsOf(samples, "hopgate_key_fetches"),
    errors: samples.flatMap(errorsIn).sort((a, b) => b.atSec - a.atSec),
    hasLabels: hasLabels(samples),
  };
}

function hasLabels(samples: readonly Sample[]): boolean | undefined {
  const own = samples.filter(({ name }) => name.startsWith("hopgate_"));
  return own.length === 0 ? undefined : own.every(({ labelsInName }) => labelsInName !== true);
}

function filterOf({ labels, value }: Sample, samples: readonly Sample[]): RunningFilter {
  const { hop = "", config = "", module = "" } = labels;
  const since = samples.find(
    ({ name, labels: of }) =>
      name === "hopgate_config_timestamp_seconds" &&
      of["hop"] === hop &&
      of["config"] === config &&
      of["module"] === module,
  );
  return { hop, config: digits(config), module: digits(module), vms: value, sinceSec: timeOf(since?.value) };
}

function errorsIn({ name, labels, value }: Sample): readonly ProxyError[] {
  const [what, atSec, { hop = "", result = "" }] = [ERROR_TIMES[name], timeOf(value), labels];
  if (what === undefined || atSec === undefined || !CODE.test(result)) return [];
  return [{ hop, what, code: result, atSec }];
}

/** As the filter writes results. Whoever may run a Pod with the labels may say there what they like. */
const CODE = /^[a-z0-9_]{1,40}$/;

/** A time that can be one, as seconds since 1970. */
function timeOf(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 && value < LAST_TIME_SEC ? value : undefined;
}

/** The year 9999, the last that is written with four digits. */
const LAST_TIME_SEC = 253_402_300_799;

/** Whoever may run a Pod with the labels may say there what they like. */
function digits(text: string): string {
  return /^[0-9a-f]{1,16}$/.test(text) ? text : "?";
}

function resultsOf(samples: readonly Sample[], metric: string): Readonly<Record<string, number>> {
  const results: Record<string, number> = {};
  for (const { name, labels, value } of samples) {
    const { result = "" } = labels;
    if (name === metric && CODE.test(result)) results[result] = (results[result] ?? 0) + value;
  }
  return results;
}

/**
 * loaded: every VM of the proxy runs what was deployed. other: it runs another configuration or build. absent: no filter of this hop.
 * unknown: it could not be asked.
 */
export type ProxyState = "loaded" | "other" | "absent" | "unknown";

/** What is to be said about a proxy that was asked. */
export function judge(
  expected: Pick<ExpectedHop, "hop" | "config" | "module">,
  { running, workers }: ProxyReport,
): { readonly state: ProxyState; readonly reason: string; readonly sinceSec?: number | undefined } {
  const ofHop = running.filter(({ hop }) => isSameHop(hop, expected.hop));
  const wanted = ofHop.find(({ config, module }) => config === expected.config && module === expected.module);
  if (wanted !== undefined) {
    if (workers === undefined) return { state: "unknown", reason: "it does not say how many workers it has" };
    // Each worker and the main thread.
    const vms = workers + 1;
    if (wanted.vms >= vms) return { state: "loaded", reason: "", sinceSec: wanted.sinceSec };
    return { state: "other", reason: `${String(wanted.vms)} of ${String(vms)} VMs run it so far` };
  }
  const [other] = [...ofHop].sort((a, b) => b.vms - a.vms);
  if (other === undefined) return { state: "absent", reason: "it runs no filter of this hop" };
  return {
    state: "other",
    sinceSec: other.sinceSec,
    reason: `it runs configuration ${other.config} of module ${other.module}, not ${expected.config} of ${expected.module}`,
  };
}

/** What last failed at a hop of the proxy. */
export function lastError({ errors }: ProxyReport, hop: string): ProxyError | undefined {
  return errors.find((error) => isSameHop(error.hop, hop));
}

/** Where a proxy does not make labels, hyphens in names are underscores (see `samplesIn`). No name of a hop has an underscore. */
function isSameHop(reported: string, hop: string): boolean {
  return reported.replaceAll("-", "_") === hop.replaceAll("-", "_");
}

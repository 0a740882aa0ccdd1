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
}

export interface RunningFilter {
  readonly hop: string;
  readonly config: string;
  readonly module: string;
  /** VMs that run it: workers, and the main thread. */
  readonly vms: number;
}

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
    running: samples.filter(({ name, value }) => name === "hopgate_config" && value > 0).map(filterOf),
    configurationBytes: sum("cluster_upstream_cx_rx_bytes_total") ?? 0,
    requests: requestsIn(samples),
  };
}

function filterOf({ labels, value }: Sample): RunningFilter {
  const { hop = "", config = "", module = "" } = labels;
  return { hop, config, module, vms: value };
}

function requestsIn(samples: readonly Sample[]): Readonly<Record<string, number>> {
  const results: Record<string, number> = {};
  for (const { name, labels, value } of samples) {
    const { result } = labels;
    if (name === "hopgate_requests" && result !== undefined) results[result] = (results[result] ?? 0) + value;
  }
  return results;
}

/**
 * loaded: every VM of the proxy runs what was deployed. other: it runs another configuration or build. absent: no filter of this hop.
 * unknown: it could not be asked.
 */
export type ProxyState = "loaded" | "other" | "absent" | "unknown";

/** What is to be said about a proxy that was asked. `plugins`: how many of the proxy have to report this. */
export function judge(
  expected: Pick<ExpectedHop, "hop" | "config" | "module">,
  { running, workers }: ProxyReport,
  plugins = 1,
): { readonly state: ProxyState; readonly reason: string } {
  const ofHop = running.filter(({ hop }) => underscored(hop) === underscored(expected.hop));
  const wanted = ofHop.find(({ config, module }) => config === expected.config && module === expected.module);
  if (wanted !== undefined) {
    if (workers === undefined) return { state: "unknown", reason: "it does not say how many workers it has" };
    // Each worker and the main thread.
    const vms = plugins * (workers + 1);
    if (wanted.vms >= vms) return { state: "loaded", reason: "" };
    return { state: "other", reason: `${String(wanted.vms)} of ${String(vms)} VMs run it so far` };
  }
  const [other] = [...ofHop].sort((a, b) => b.vms - a.vms);
  if (other === undefined) return { state: "absent", reason: "it runs no filter of this hop" };
  return {
    state: "other",
    reason: `it runs configuration ${other.config} of module ${other.module}, not ${expected.config} of ${expected.module}`,
  };
}

/** As a name is where a proxy does not make labels (see `samplesIn`). No name of a hop has an underscore. */
function underscored(name: string): string {
  return name.replaceAll("-", "_");
}

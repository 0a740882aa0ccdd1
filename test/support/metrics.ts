import type { Admin } from "../../shim/envoy/admin.js";

/** One line of Prometheus' text format. */
export interface Metric {
  /** Without Envoy's `envoy_` and `wasmcustom_`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The filter's metrics of an Envoy, as Prometheus would scrape them. */
export async function scrape(admin: Admin): Promise<Metric[]> {
  return hopgateMetrics(await admin.get("/stats/prometheus"));
}

/** The filter's metrics in what a proxy told Prometheus. */
export function hopgateMetrics(text: string): Metric[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] =
      /^(?:envoy_)?(?:wasmcustom_)?(hopgate_\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(
      ([, key = "", text = ""]) => [key, text] as const,
    );
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** How many VMs run each configuration, by its fingerprint. */
export async function runningConfigs(admin: Admin): Promise<Map<string, number>> {
  return configsIn(await scrape(admin));
}

/** Of a proxy's metrics, how many VMs run each configuration, by its fingerprint. */
export function configsIn(metrics: readonly Metric[]): Map<string, number> {
  const gauges = metrics.filter(({ name }) => name === "hopgate_config");
  return new Map(gauges.map(({ labels, value }) => [labels["config"] ?? "", value]));
}

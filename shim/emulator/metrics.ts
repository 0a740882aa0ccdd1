/**
 * The metrics of the process (Envoy: source/extensions/common/wasm/context.cc, defineMetric to getMetric).
 * A metric belongs to the process and is found by type and name; its number belongs to the VM that defined it.
 */
import { MAX_METRIC_TYPE, MetricType, Status } from "./abi.js";

/** How many of the latest values a histogram keeps; count and sum know all of them. */
const KEPT_VALUES = 1000;
const TYPE_MASK = 3;
const ID_INCREMENT = 4;

export interface Histogram {
  count: number;
  sum: number;
  /** The latest values, oldest first. */
  values: number[];
}

/** Counters and gauges as numbers, histograms as what was recorded; by the name that the guest gave. */
export interface MetricsSnapshot {
  readonly counters: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
  readonly histograms: Readonly<Record<string, Histogram>>;
}

/** Everything that is counted in one process. */
export class MetricsStore {
  readonly counters = new Map<string, { value: number }>();
  readonly gauges = new Map<string, { value: number }>();
  readonly histograms = new Map<string, Histogram>();

  snapshot(): MetricsSnapshot {
    return {
      counters: Object.fromEntries([...this.counters].map(([name, counter]) => [name, counter.value])),
      gauges: Object.fromEntries([...this.gauges].map(([name, gauge]) => [name, gauge.value])),
      histograms: Object.fromEntries(
        [...this.histograms].map(([name, h]) => [name, { count: h.count, sum: h.sum, values: [...h.values] }]),
      ),
    };
  }
}

/** The metrics that one VM has defined, by number. Values are exact up to 2^53. */
export class VmMetrics {
  readonly #store: MetricsStore;
  readonly #scalars = new Map<number, { value: number }>();
  readonly #histograms = new Map<number, Histogram>();
  readonly #lastId: [number, number, number] = [MetricType.Counter, MetricType.Gauge, MetricType.Histogram];

  constructor(store: MetricsStore) {
    this.#store = store;
  }

  /** A new number for the metric of that name, each time it is defined; undefined for an unknown type. */
  define(type: number, name: string): number | undefined {
    if (type < 0 || type > MAX_METRIC_TYPE) return undefined;
    const id = (this.#lastId[type as 0 | 1 | 2] += ID_INCREMENT);
    if (type === MetricType.Histogram) {
      this.#histograms.set(
        id,
        present(this.#store.histograms, name, () => ({ count: 0, sum: 0, values: [] })),
      );
    } else {
      const table = type === MetricType.Counter ? this.#store.counters : this.#store.gauges;
      this.#scalars.set(
        id,
        present(table, name, () => ({ value: 0 })),
      );
    }
    return id;
  }

  increment(id: number, offset: number): number {
    const type = id & TYPE_MASK;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return Status.BadArgument;
    const scalar = this.#scalars.get(id);
    if (scalar === undefined) return Status.NotFound;
    if (type === MetricType.Counter && offset <= 0) return Status.BadArgument;
    scalar.value += offset;
    return Status.Ok;
  }

  /** Adds to a counter, sets a gauge, records in a histogram. */
  record(id: number, value: number): number {
    const type = id & TYPE_MASK;
    if (type === MetricType.Histogram) {
      const histogram = this.#histograms.get(id);
      if (histogram === undefined) return Status.NotFound;
      histogram.count++;
      histogram.sum += value;
      if (histogram.values.push(value) >= 2 * KEPT_VALUES) histogram.values.splice(0, KEPT_VALUES);
      return Status.Ok;
    }
    const scalar = this.#scalars.get(id);
    if (scalar === undefined) return Status.NotFound;
    if (type === MetricType.Counter) scalar.value += value;
    else scalar.value = value;
    return Status.Ok;
  }

  /** The value of a counter or gauge, or the status that says why there is none. */
  get(id: number): { value: number } | { status: number } {
    const type = id & TYPE_MASK;
    if (type !== MetricType.Counter && type !== MetricType.Gauge) return { status: Status.BadArgument };
    return this.#scalars.get(id) ?? { status: Status.NotFound };
  }
}

function present<T>(table: Map<string, T>, name: string, create: () => T): T {
  let value = table.get(name);
  if (value === undefined) {
    value = create();
    table.set(name, value);
  }
  return value;
}

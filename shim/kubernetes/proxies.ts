import { Failure } from "../errors.js";
import { judge, type ProxyReport, type ProxyState, reportIn, STATS_FILTER } from "../plan/proxy-report.js";
import { samplesIn } from "../plan/prometheus.js";
import type { ExpectedHop } from "../plan/revision.js";
import { type Connection, NoAnswer } from "./connection.js";
import { ApiError, each, type Objects } from "./objects.js";

/** One Envoy of a hop, and whether it runs what was deployed. */
export interface ProxyStatus {
  readonly hop: string;
  readonly namespace: string;
  readonly pod: string;
  readonly state: ProxyState;
  /** Why it is not loaded; empty if it is. */
  readonly reason: string;
  /** Since when it runs what it runs, in seconds since 1970; undefined: not said. */
  readonly sinceSec?: number | undefined;
  readonly report: ProxyReport | undefined;
  /** It is unknown because you may not ask it. */
  readonly isForbidden?: boolean;
}

/** A Pod, as far as it is read here. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: {
    readonly containers?: readonly {
      readonly image?: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status?: { readonly phase?: string };
}

/** Where Istio's proxies have their metrics, unless the Pod names the port. */
const PROMETHEUS_PORT = 15090;
const PROMETHEUS_PORT_NAME = "http-envoy-prom";
/** Where pilot-agent has its own and Envoy's, unless the Pod names the port. */
const AGENT_PORT = 15020;
const AGENT_PORT_ANNOTATION = "prometheus.io/port";
const MODULE_FETCHES = "istio_agent_wasm_remote_fetch_count";

/** One that does not answer for longer is not well. */
const TIMEOUT_MS = 5000;

/** Asks the proxies of hops what they run, through the API server: nothing has to be forwarded. */
export class Proxies {
  constructor(
    private readonly connection: Connection,
    private readonly objects: Objects,
  ) {}

  /** The Pods of a hop that are not going. */
  async pods({ namespace, podLabels }: Pick<ExpectedHop, "namespace" | "podLabels">): Promise<readonly Pod[]> {
    const labelSelector = Object.entries(podLabels)
      .map(([label, value]) => `${label}=${value}`)
      .join(",");
    const { items } = await this.objects.request<{ items: readonly Pod[] }>(
      { method: "GET", path: `/api/v1/namespaces/${namespace}/pods`, query: { labelSelector } },
      `list the Pods of ${namespace}`,
    );
    return items.filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined && !["Succeeded", "Failed"].includes(status?.phase ?? ""),
    );
  }

  /** The state of every proxy of the hops. A proxy that cannot be asked is unknown, whatever it runs. */
  async statuses(hops: readonly ExpectedHop[]): Promise<readonly ProxyStatus[]> {
    const pods = await each(hops, async (expected) => ({ expected, found: await this.pods(expected) }));
    const all = pods.flatMap(({ expected, found }) => found.map((pod) => ({ expected, pod })));
    return each(all, ({ expected, pod }) => this.status(expected, pod));
  }

  private async status(expected: ExpectedHop, pod: Pod): Promise<ProxyStatus> {
    const { name, namespace } = pod.metadata;
    const head = { hop: expected.hop, namespace, pod: name };
    try {
      const report = reportIn(await this.metrics(pod, envoyPort(pod), { filter: STATS_FILTER }));
      return { ...head, ...judge(expected, report), report };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const isForbidden = error instanceof ApiError && error.status === 403;
      return { ...head, state: "unknown", reason: error.message, report: undefined, isForbidden };
    }
  }

  /** How fetches of modules ended, by result, as pilot-agent counts them. @throws ApiError if it cannot be asked */
  async moduleFetches(pod: Pod): Promise<Readonly<Record<string, number>>> {
    const port = Number(pod.metadata.annotations?.[AGENT_PORT_ANNOTATION] ?? AGENT_PORT);
    const counts: Record<string, number> = {};
    for (const { name, labels, value } of samplesIn(await this.metrics(pod, port, {}))) {
      if (name === MODULE_FETCHES) counts[labels["result"] ?? ""] = value;
    }
    return counts;
  }

  private async metrics(pod: Pod, port: number, query: Readonly<Record<string, string>>): Promise<string> {
    const { name, namespace } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}:${String(port)}/proxy/stats/prometheus`;
    const request = { method: "GET", path, query, timeoutMs: TIMEOUT_MS } as const;
    const { status, body } = await this.connection.send(request).catch((cause: unknown) => {
      if (!(cause instanceof NoAnswer)) throw cause;
      // It may be the Pod's fault or the server's, but what was asked is the Pod.
      const within = `within ${String(TIMEOUT_MS / 1000)} s`;
      throw new Failure(`no answer on port ${String(port)} ${within} (asked through the API server)`, { cause });
    });
    if (status === 200) return body;
    const why = status === 403 ? "you may not ask it (pods/proxy)" : `HTTP ${String(status)}`;
    throw new ApiError(`its metrics on port ${String(port)} cannot be read: ${why}`, status, []);
  }
}

function envoyPort({ spec }: Pod): number {
  const ports = (spec?.containers ?? []).flatMap(({ ports: list = [] }) => list);
  return ports.find(({ name }) => name === PROMETHEUS_PORT_NAME)?.containerPort ?? PROMETHEUS_PORT;
}

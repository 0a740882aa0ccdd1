import { setTimeout as sleep } from "node:timers/promises";

import { loadMesh } from "../config/load.js";
import type { Mesh } from "../config/model.js";
import type { Read } from "../doctor/check.js";
import { Failure } from "../errors.js";
import { Cluster } from "../kubernetes/cluster.js";
import { driftOf } from "../kubernetes/drift.js";
import type { ProxyStatus } from "../kubernetes/proxies.js";
import { shortcomings } from "../kubernetes/waiting.js";
import { readOwnPlugins, reading } from "../kubernetes/workloads.js";
import type { Io } from "../output/io.js";
import { isChange } from "../plan/comparison.js";
import { currentRevision, newestFirst, type Revision } from "../plan/revision.js";
import type { Resource } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { statusAsJson, statusText } from "./status-text.js";

export interface StatusOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly watch?: boolean | undefined;
  readonly output: "text" | "json";
}

const WATCH_MS = 2000;
/** Whether resources are as deployed is asked for each of them, and so less often. */
const DRIFT_MS = 10_000;

export interface ClusterStatus {
  readonly context: string;
  readonly mesh: Mesh;
  readonly current: Revision | undefined;
  /** The newest one, if it is not the current one: half done, or undone. */
  readonly last: Revision | undefined;
  readonly proxies: readonly ProxyStatus[];
  /** Those of the current revision that are not as they were deployed; none while another is half done. */
  readonly drifted: Read<readonly Resource[]>;
  /** Plugins of the mesh where no revision is in place. */
  readonly strays: Read<readonly Resource[]>;
}

/** Of a cluster that could not be asked. */
export interface ClusterFailure {
  readonly context: string;
  readonly error: string;
}

/** Says what is deployed, whether each proxy runs it, and whether it was changed since. Returns 0 if all is well, else 1. */
export async function status(options: StatusOptions, io: Io, signal: AbortSignal): Promise<number> {
  const mesh = await loadMesh(options.config);
  const watches = clustersOf(options).map((where) => new ClusterWatch(Cluster.open(mesh, where, signal)));
  const isWatch = options.watch === true;
  for (;;) {
    const statuses: (ClusterStatus | ClusterFailure)[] = [];
    for (const watch of watches) {
      // Of one cluster alone there is nothing else to say.
      statuses.push(await (watches.length === 1 && !isWatch ? watch.look() : watch.lookAnyway()));
    }
    if (options.output === "json")
      io.stdout.write(`${JSON.stringify(statuses.map(statusAsJson), null, isWatch ? 0 : 2)}\n`);
    else io.stdout.write(`${statuses.map((one) => statusText(one, io)).join("\n")}\n`);
    if (!isWatch) return statuses.every(isGood) ? 0 : 1;
    await sleep(WATCH_MS, undefined, { signal });
  }
}

/** Looks at a cluster, again and again. */
class ClusterWatch {
  private drift:
    { readonly number: number; readonly sinceMs: number; readonly read: Read<readonly Resource[]> } | undefined;

  constructor(private readonly cluster: Cluster) {}

  /** @throws Failure if the cluster cannot be asked */
  async look(): Promise<ClusterStatus> {
    const { name: context, mesh, objects, revisions } = this.cluster;
    const known = await revisions.list();
    const current = currentRevision(known);
    const [newest] = newestFirst(known);
    const last = newest === current ? undefined : newest;
    const isHalfDone = last?.state === "pending";
    return {
      context,
      mesh,
      current,
      last,
      proxies: current === undefined ? [] : await this.statuses(current, isHalfDone ? last : undefined),
      drifted: current === undefined || isHalfDone ? { value: [] } : await this.drifted(current),
      strays: current !== undefined || isHalfDone ? { value: [] } : await reading(() => readOwnPlugins(objects, mesh)),
    };
  }

  /** Of the current revision's hops; one that runs the half-done one already is told so. */
  private async statuses(current: Revision, halfDone: Revision | undefined): Promise<readonly ProxyStatus[]> {
    const { proxies } = this.cluster;
    const statuses = await proxies.statuses(current.hops);
    if (halfDone === undefined) return statuses;
    const ahead = (await proxies.statuses(halfDone.hops)).filter(({ state }) => state === "loaded");
    const reason = `it runs what revision ${String(halfDone.number)} has, which has not ended`;
    return statuses.map((one) =>
      one.state === "other" &&
      ahead.some(({ namespace, pod, hop }) => namespace === one.namespace && pod === one.pod && hop === one.hop)
        ? { ...one, reason }
        : one,
    );
  }

  async lookAnyway(): Promise<ClusterStatus | ClusterFailure> {
    try {
      return await this.look();
    } catch (error) {
      if (error instanceof Failure) return { context: this.cluster.name, error: error.message };
      throw error;
    }
  }

  private async drifted({ number, resources }: Revision): Promise<Read<readonly Resource[]>> {
    const nowMs = performance.now();
    if (this.drift?.number === number && nowMs - this.drift.sinceMs < DRIFT_MS) return this.drift.read;
    const read = await reading(async () =>
      (await driftOf(resources, this.cluster.objects)).filter(isChange).map(({ resource }) => resource),
    );
    this.drift = { number, sinceMs: nowMs, read };
    return read;
  }
}

function isGood(status: ClusterStatus | ClusterFailure): boolean {
  if ("error" in status) return false;
  const { current, last, proxies, drifted } = status;
  const isAsDeployed = "unknown" in drifted || drifted.value.length === 0;
  return (
    current !== undefined &&
    last?.state !== "pending" &&
    shortcomings(current.hops, proxies).length === 0 &&
    isAsDeployed
  );
}

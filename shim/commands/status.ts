import { setTimeout as sleep } from "node:timers/promises";

import { loadMesh } from "../config/load.js";
import { Cluster } from "../kubernetes/cluster.js";
import type { ProxyStatus } from "../kubernetes/proxies.js";
import { shortcomings } from "../kubernetes/rollout.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { currentRevision, newestFirst, type Revision } from "../plan/revision.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { proxyAsJson } from "./deploy.js";

export interface StatusOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly watch?: boolean | undefined;
  readonly output: "text" | "json";
}

const WATCH_MS = 2000;

interface ClusterStatus {
  readonly context: string;
  readonly current: Revision | undefined;
  /** The newest one, if it is not the current one: half done, or undone. */
  readonly last: Revision | undefined;
  readonly proxies: readonly ProxyStatus[];
}

/** Says what is deployed, and whether each proxy runs it. Returns 0 if all do, else 1. */
export async function status(options: StatusOptions, io: Io, signal: AbortSignal): Promise<number> {
  const mesh = await loadMesh(options.config);
  const clusters = clustersOf(options).map((where) => Cluster.open(mesh, where, signal));
  for (;;) {
    const statuses: ClusterStatus[] = [];
    for (const cluster of clusters) statuses.push(await statusOf(cluster));
    if (options.output === "json")
      io.stdout.write(`${JSON.stringify(statuses.map(asJson), null, options.watch === true ? 0 : 2)}\n`);
    else io.stdout.write(`${statuses.map((one) => drawn(one, io)).join("\n")}\n`);
    if (options.watch !== true) return statuses.every(isGood) ? 0 : 1;
    await sleep(WATCH_MS, undefined, { signal });
  }
}

async function statusOf({ name, revisions, proxies }: Cluster): Promise<ClusterStatus> {
  const known = await revisions.list();
  const current = currentRevision(known);
  const [newest] = newestFirst(known);
  return {
    context: name,
    current,
    last: newest === current ? undefined : newest,
    proxies: current === undefined ? [] : await proxies.statuses(current.hops),
  };
}

function isGood({ current, last, proxies }: ClusterStatus): boolean {
  return current !== undefined && last?.state !== "pending" && shortcomings(current.hops, proxies).length === 0;
}

function asJson({ context, current, last, proxies }: ClusterStatus): object {
  return {
    context,
    ...(current !== undefined && { current: revisionAsJson(current) }),
    ...(last !== undefined && { last: revisionAsJson(last) }),
    hops: (current?.hops ?? []).map(({ hop, namespace, config, module }) => ({
      hop,
      namespace,
      config,
      module,
      proxies: proxies.filter((proxy) => proxy.hop === hop).map(proxyAsJson),
    })),
  };
}

function revisionAsJson({ number, state, image, startedAt, endedAt, rollbackOf, reason }: Revision): object {
  return {
    revision: number,
    state,
    image,
    started_at: startedAt,
    ...(endedAt !== undefined && { ended_at: endedAt }),
    ...(rollbackOf !== undefined && { rollback_of: rollbackOf }),
    ...(reason !== undefined && { reason }),
  };
}

function drawn({ context, current, last, proxies }: ClusterStatus, io: Io): string {
  const paint = colours(io);
  const lines: string[] = [];
  if (current === undefined) lines.push(`${context}: nothing is deployed`);
  else
    lines.push(
      `${context}: revision ${String(current.number)}, since ${current.endedAt ?? current.startedAt}`,
      `image ${current.image}`,
    );
  if (last?.state === "pending")
    lines.push(paint("yellow", `revision ${String(last.number)} was begun at ${last.startedAt} and has not ended`));
  if (last?.state === "failed")
    lines.push(
      paint(
        "yellow",
        `revision ${String(last.number)} failed at ${last.endedAt ?? ""} and was undone: ${firstLine(last.reason)}`,
      ),
    );
  if (current === undefined) return lines.join("\n");
  const rows = proxies.map(({ hop, namespace, pod, state, reason, report }) => [
    hop,
    `${namespace}/${pod}`,
    paint(state === "loaded" ? "green" : "red", state),
    countsOf(report?.requests ?? {}),
    reason,
  ]);
  const empty = current.hops.filter(({ hop }) => !proxies.some((proxy) => proxy.hop === hop));
  for (const { hop, namespace } of empty) rows.push([hop, namespace, paint("red", "no Pods"), "", ""]);
  return [...lines, table([["HOP", "PROXY", "STATE", "REQUESTS", ""], ...rows])].join("\n");
}

function countsOf(requests: Readonly<Record<string, number>>): string {
  const counts = Object.entries(requests).sort(([a], [b]) => (a < b ? -1 : 1));
  return counts.map(([result, count]) => `${result} ${String(count)}`).join(", ");
}

function firstLine(text = ""): string {
  return text.split("\n", 1)[0] ?? "";
}

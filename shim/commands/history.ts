import { loadMesh } from "../config/load.js";
import { Cluster } from "../kubernetes/cluster.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { harmless } from "../output/text.js";
import { currentRevision, newestFirst, reasonLine, type Revision } from "../plan/revision.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";

export interface HistoryOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly output: "text" | "json";
}

/** Shows the revisions that each cluster keeps, newest first. Returns 0. */
export async function history(options: HistoryOptions, io: Io, signal: AbortSignal): Promise<number> {
  const mesh = await loadMesh(options.config);
  const clusters = [];
  for (const where of clustersOf(options)) {
    const cluster = Cluster.open(mesh, where, signal);
    clusters.push({ context: cluster.name, revisions: newestFirst(await cluster.revisions.list()) });
  }
  if (options.output === "json") {
    const all = clusters.map(({ context, revisions }) => {
      const inPlace = currentRevision(revisions);
      return {
        context,
        revisions: revisions.map((revision) => ({
          ...revisionAsJson(revision),
          in_place: revision === inPlace,
          hops: revision.hops.map(({ hop }) => hop),
          resources: revision.resources.length,
        })),
      };
    });
    io.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  } else io.stdout.write(clusters.map(({ context, revisions }) => drawn(context, revisions)).join(""));
  return 0;
}

function drawn(context: string, revisions: readonly Revision[]): string {
  if (revisions.length === 0) return `${context}: there are no revisions\n`;
  const inPlace = currentRevision(revisions);
  const rows = revisions.map((revision, index) => {
    const { number, state, startedAt, endedAt = "-", image, hops, resources } = revision;
    const mark = revision === inPlace ? " (in place)" : "";
    const counts = [String(hops.length), String(resources.length)];
    return [String(number), `${state}${mark}`, startedAt, endedAt, ...counts, image, remarkOn(revision, index === 0)];
  });
  const head = ["REVISION", "STATE", "STARTED", "ENDED", "HOPS", "RESOURCES", "IMAGE", ""];
  return `${context}:\n${table([head, ...rows])}\n`;
}

function remarkOn(revision: Revision, isNewest: boolean): string {
  const { state, rollbackOf } = revision;
  const remarks = [
    ...(rollbackOf === undefined ? [] : [`rollback to ${String(rollbackOf)}`]),
    ...(state === "pending" ? [isNewest ? "has not ended" : "was interrupted, and another one came"] : []),
    ...(revision.reason === undefined ? [] : [harmless(reasonLine(revision))]),
  ];
  return remarks.join("; ");
}

export function revisionAsJson({ number, state, image, startedAt, endedAt, rollbackOf, reason }: Revision): object {
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

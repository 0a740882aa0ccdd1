import { loadMesh } from "../config/load.js";
import { Cluster } from "../kubernetes/cluster.js";
import type { Belongings } from "../kubernetes/preview.js";
import type { Removed } from "../kubernetes/stages.js";
import { readOwnPlugins } from "../kubernetes/workloads.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { harmless } from "../output/text.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { confirmed } from "./confirm.js";
import { counted } from "./resource-names.js";
import { strayFailure, strayReport } from "./stray-plugins.js";

export interface UninstallOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly yes?: boolean | undefined;
  readonly output: "text" | "json";
}

/**
 * Removes what hopgate made in each cluster, and nothing else. Where there is nothing, that is good too.
 * @throws Failure if there are plugins of the mesh that `deploy` did not make
 */
export async function uninstall(options: UninstallOptions, io: Io, signal: AbortSignal): Promise<number> {
  const mesh = await loadMesh(options.config);
  const clusters: object[] = [];
  try {
    for (const where of clustersOf(options)) {
      const cluster = Cluster.open(mesh, where, signal);
      const notify = (line: string): void => void io.stderr.write(`${cluster.name}: ${harmless(line)}\n`);
      const rollout = cluster.rollout({ notify, signal, timeoutMs: 0 });
      const planned = await cluster.preview.belongings();
      const isNothing = planned.made.length + planned.adopted.length === 0;
      if (!isNothing) io.stderr.write(`${cluster.name}:\n${list(planned)}`);
      if (!isNothing && options.yes !== true && !(await confirmed("Remove them?", io, signal))) {
        io.stderr.write(`Nothing was changed in ${cluster.name}.\n`);
        return 1;
      }
      const removed = await rollout.remove();
      const strays = isNothing ? strayReport(mesh, await readOwnPlugins(cluster.objects, mesh)) : undefined;
      if (strays !== undefined) throw strayFailure(cluster.name, strays);
      clusters.push({ context: cluster.name, ...removed });
      if (options.output === "text")
        io.stdout.write(`${colours(io)("green", "ok")} ${cluster.name}: ${resultText(removed)}\n`);
    }
    return 0;
  } finally {
    // Also of those that were done before one that failed.
    if (options.output === "json") io.stdout.write(`${JSON.stringify({ mesh: mesh.name, clusters }, null, 2)}\n`);
  }
}

function list({ made, adopted }: Belongings): string {
  const kept = adopted.length === 0 ? "" : `These stay, without what hopgate added:\n${adopted.map(line).join("")}`;
  return `${made.map(line).join("")}${kept}`;
}

function line(resource: Resource): string {
  return `  ${titleOf(resource)}\n`;
}

function resultText({ deleted, released }: Removed): string {
  if (deleted + released === 0) return "there was nothing to remove";
  const kept = released === 0 ? "" : `, ${String(released)} left without what hopgate added`;
  return `${counted(deleted, "resource")} removed${kept}`;
}

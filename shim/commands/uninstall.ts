import { loadMesh } from "../config/load.js";
import { Cluster } from "../kubernetes/cluster.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { confirmed } from "./confirm.js";

export interface UninstallOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly yes?: boolean | undefined;
}

/** Removes what hopgate made in each cluster, and nothing else. Where there is nothing, that is good too. */
export async function uninstall(options: UninstallOptions, io: Io, signal: AbortSignal): Promise<number> {
  const mesh = await loadMesh(options.config);
  for (const where of clustersOf(options)) {
    const cluster = Cluster.open(mesh, where, signal);
    const notify = (line: string): void => void io.stderr.write(`${cluster.name}: ${line}\n`);
    const rollout = cluster.rollout({ notify, signal, timeoutMs: 0 });
    const planned = await rollout.removals([]);
    if (planned.length > 0) io.stderr.write(`${cluster.name}:\n${planned.map(line).join("")}`);
    if (planned.length > 0 && options.yes !== true && !(await confirmed("Remove them?", io, signal))) {
      io.stderr.write("Nothing was changed.\n");
      return 1;
    }
    await rollout.remove();
    const what = planned.length === 0 ? "there was nothing to remove" : `${String(planned.length)} resources removed`;
    io.stdout.write(`${colours(io)("green", "ok")} ${cluster.name}: ${what}\n`);
  }
  return 0;
}

function line(resource: Resource): string {
  return `  ${titleOf(resource)}\n`;
}

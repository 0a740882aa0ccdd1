import { Cluster } from "../kubernetes/cluster.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { isChange } from "../plan/comparison.js";
import { unifiedDiff } from "../plan/diff.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { loadTarget, type TargetOptions } from "./deploy-target.js";

export interface DiffOptions extends TargetOptions, ClusterCommandOptions {}

/** Prints what `deploy` would change in each cluster, asked of its API server. Returns 0 if that is nothing, else 1. */
export async function diff(options: DiffOptions, io: Io, signal: AbortSignal): Promise<number> {
  const target = await loadTarget(options, io, signal);
  let isSame = true;
  for (const where of clustersOf(options)) {
    const cluster = Cluster.open(target.mesh, where, signal);
    const rollout = cluster.rollout({ notify: () => undefined, signal, timeoutMs: 0 });
    const [changes, removed] = [await rollout.changes(target.resources), await rollout.removals(target.resources)];
    const text = unifiedDiff(changes, removed);
    if (text === "") continue;
    isSame = false;
    io.stdout.write(coloured(text, io));
    const created = changes.filter(({ live }) => live === undefined).length;
    const changed = changes.filter(isChange).length - created;
    io.stderr.write(
      `${cluster.name}: ${String(created)} new, ${String(changed)} changed, ${String(removed.length)} removed\n`,
    );
  }
  return isSame ? 0 : 1;
}

function coloured(text: string, io: Io): string {
  const paint = colours(io);
  return text
    .split("\n")
    .map((line) => {
      if (/^(?:---|\+\+\+) /.test(line)) return paint("bold", line);
      if (line.startsWith("@@")) return paint("cyan", line);
      if (line.startsWith("-")) return paint("red", line);
      return line.startsWith("+") ? paint("green", line) : line;
    })
    .join("\n");
}

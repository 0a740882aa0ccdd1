import { Cluster } from "../kubernetes/cluster.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { harmless } from "../output/text.js";
import { isChange } from "../plan/comparison.js";
import { unifiedDiff } from "../plan/diff.js";
import { titleOf } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { loadTarget, targetIn, type TargetOptions } from "./deploy-target.js";

export interface DiffOptions extends TargetOptions, ClusterCommandOptions {
  readonly output: "text" | "json";
}

/** Titles of resources, and the unified diff of all of them; empty: nothing would change. */
interface Difference {
  readonly context: string;
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** What deploy would refuse, since others own it. */
  readonly conflicts: readonly string[];
  readonly diff: string;
}

/** Prints what `deploy` would change in each cluster, asked of its API server. Returns 0 if that is nothing, else 1. */
export async function diff(options: DiffOptions, io: Io, signal: AbortSignal): Promise<number> {
  const target = await loadTarget(options, io, signal);
  const differences: Difference[] = [];
  for (const where of clustersOf(options)) {
    const cluster = Cluster.open(target.mesh, where, signal);
    const { resources } = await targetIn(cluster, target, options.api);
    const { changes, conflicts } = await cluster.preview.differences(resources);
    const gone = await cluster.preview.removals(resources);
    const created = changes.filter(({ live }) => live === undefined);
    const changed = changes.filter((change) => change.live !== undefined && isChange(change));
    const difference = {
      context: cluster.name,
      created: created.map(({ resource }) => titleOf(resource)),
      changed: changed.map(({ resource }) => titleOf(resource)),
      removed: gone.map(titleOf),
      conflicts: conflicts.map(({ message }) => message),
      diff: unifiedDiff(changes, gone),
    };
    differences.push(difference);
    if (options.output === "text") print(difference, io);
    for (const { message, fix = "" } of conflicts)
      io.stderr.write(`${cluster.name}: deploy would refuse this: ${harmless(message)}\n${harmless(fix)}\n`);
  }
  if (options.output === "json")
    io.stdout.write(`${JSON.stringify({ mesh: target.mesh.name, clusters: differences }, null, 2)}\n`);
  return differences.every(({ diff: text, conflicts }) => text === "" && conflicts.length === 0) ? 0 : 1;
}

function print({ context, created, changed, removed, diff: text }: Difference, io: Io): void {
  if (text === "") return;
  io.stdout.write(coloured(harmless(text), io));
  const counts = [
    `${String(created.length)} new`,
    `${String(changed.length)} changed`,
    `${String(removed.length)} removed`,
  ];
  io.stderr.write(`${context}: ${counts.join(", ")}\n`);
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

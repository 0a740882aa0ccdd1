import { isDeepStrictEqual } from "node:util";

import { loadMesh } from "../config/load.js";
import { UsageError } from "../errors.js";
import { Cluster } from "../kubernetes/cluster.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { harmless } from "../output/text.js";
import { withoutMarks } from "../plan/mark.js";
import { currentRevision, newestFirst, type Revision } from "../plan/revision.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { confirmed } from "./confirm.js";
import { proxyAsJson } from "./proxy-text.js";
import { counted, namesOf } from "./resource-names.js";

export interface RollbackOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly yes?: boolean | undefined;
  readonly timeout: number;
  readonly output: "text" | "json";
}

/** Brings an earlier revision back, as a new one. Without a number: the one before the current. */
export async function rollback(
  number: number | undefined,
  options: RollbackOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const mesh = await loadMesh(options.config);
  const clusters: object[] = [];
  try {
    for (const where of clustersOf(options)) {
      const cluster = Cluster.open(mesh, where, signal);
      const known = await cluster.revisions.list();
      const inPlace = revisionInPlace(known);
      const target = targetOf(known, number);
      io.stderr.write(`${cluster.name}:\n${comparison(inPlace, target)}\n`);
      if (options.yes !== true && !(await confirmed("Bring the target back?", io, signal))) {
        io.stderr.write(`Nothing was changed in ${cluster.name}.\n`);
        return 1;
      }
      const notify = (line: string): void => void io.stderr.write(`${cluster.name}: ${harmless(line)}\n`);
      const rollout = cluster.rollout({ notify, signal, timeoutMs: options.timeout * 1000 });
      const { image, hops, resources } = target;
      const { revision, isChanged, proxies } = await rollout.to({ image, hops, resources, rollbackOf: target.number });
      clusters.push({
        context: cluster.name,
        state: "deployed",
        revision,
        rollback_of: target.number,
        image,
        changed: isChanged,
        proxies: proxies.map(proxyAsJson),
      });
      const what = `revision ${String(target.number)} is back, as revision ${String(revision)}`;
      if (options.output === "text") io.stdout.write(`${colours(io)("green", "ok")} ${cluster.name}: ${what}\n`);
    }
    return 0;
  } finally {
    // Also of those that were done before one that failed.
    if (options.output === "json") io.stdout.write(`${JSON.stringify({ mesh: mesh.name, clusters }, null, 2)}\n`);
  }
}

/** The one that is half done, else the one that every proxy ran. */
function revisionInPlace(known: readonly Revision[]): Revision | undefined {
  const [newest] = newestFirst(known);
  return newest?.state === "pending" ? newest : currentRevision(known);
}

function targetOf(known: readonly Revision[], number: number | undefined): Revision {
  const current = currentRevision(known);
  const deployed = newestFirst(known).filter(({ state }) => state === "deployed");
  const kept = deployed.map((revision) => String(revision.number));
  const fix =
    kept.length === 0
      ? "deploy it with hopgate deploy"
      : `write one of ${kept.join(", ")}; hopgate history shows what they are`;
  if (number !== undefined) {
    const target = deployed.find((revision) => revision.number === number);
    if (target !== undefined) return target;
    throw new UsageError(`there is no revision ${String(number)} that was deployed and is kept`, fix);
  }
  // After one that was given up half way, what is current is what to go back to.
  const [newest] = newestFirst(known);
  if (newest?.state === "pending" && current !== undefined) return current;
  const target = deployed.find((revision) => revision !== current);
  if (target !== undefined) return target;
  throw new UsageError("there is no revision before the current one", fix);
}

function comparison(current: Revision | undefined, target: Revision): string {
  const differing = differences(withoutMarks(current?.resources ?? []), withoutMarks(target.resources));
  const names = differing.length === 0 ? "" : `: ${namesOf(differing)}`;
  const verb = differing.length === 1 ? "differs" : "differ";
  const rows = [describe("current", current), describe("target", target)];
  return `${table(rows)}\n${counted(differing.length, "resource")} ${verb}${names}`;
}

function describe(word: string, revision: Revision | undefined): readonly string[] {
  if (revision === undefined) return [word, "none"];
  const { number, state, endedAt, startedAt, image } = revision;
  const when = state === "pending" ? `half done since ${startedAt}` : (endedAt ?? startedAt);
  return [word, `revision ${String(number)}`, when, image];
}

/** Those that one of the two has otherwise, or not at all. */
function differences(before: readonly Resource[], after: readonly Resource[]): readonly Resource[] {
  const [old, next] = [before, after].map((list) => new Map(list.map((resource) => [titleOf(resource), resource])));
  const gone = before.filter((resource) => next?.has(titleOf(resource)) !== true);
  return [...after.filter((resource) => !isDeepStrictEqual(old?.get(titleOf(resource)), resource)), ...gone];
}

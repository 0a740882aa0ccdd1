import { loadMesh } from "../config/load.js";
import { UsageError } from "../errors.js";
import { Cluster } from "../kubernetes/cluster.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { currentRevision, newestFirst, type Revision } from "../plan/revision.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { confirmed } from "./confirm.js";

export interface RollbackOptions extends ClusterCommandOptions {
  readonly config: string;
  readonly yes?: boolean | undefined;
  readonly timeout: number;
}

/** Brings an earlier revision back, as a new one. Without a number: the one before the current. */
export async function rollback(
  number: number | undefined,
  options: RollbackOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const mesh = await loadMesh(options.config);
  for (const where of clustersOf(options)) {
    const cluster = Cluster.open(mesh, where, signal);
    const known = await cluster.revisions.list();
    const current = currentRevision(known);
    const target = targetOf(known, current, number);
    io.stderr.write(`${cluster.name}:\n${table([describe("current", current), describe("target", target)])}\n`);
    if (options.yes !== true && !(await confirmed("Bring the target back?", io, signal))) {
      io.stderr.write("Nothing was changed.\n");
      return 1;
    }
    const notify = (line: string): void => void io.stderr.write(`${cluster.name}: ${line}\n`);
    const rollout = cluster.rollout({ notify, signal, timeoutMs: options.timeout * 1000 });
    const { image, hops, resources } = target;
    const { revision } = await rollout.to({ image, hops, resources, rollbackOf: target.number });
    const what = `revision ${String(target.number)} is back, as revision ${String(revision)}`;
    io.stdout.write(`${colours(io)("green", "ok")} ${cluster.name}: ${what}\n`);
  }
  return 0;
}

function targetOf(known: readonly Revision[], current: Revision | undefined, number: number | undefined): Revision {
  const deployed = newestFirst(known).filter(({ state }) => state === "deployed");
  const kept = deployed.map((revision) => String(revision.number));
  const fix = kept.length === 0 ? "deploy it with hopgate deploy" : `write one of ${kept.join(", ")}`;
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

function describe(word: string, revision: Revision | undefined): readonly string[] {
  if (revision === undefined) return [word, "none"];
  const { number, endedAt, startedAt, image } = revision;
  return [word, `revision ${String(number)}`, endedAt ?? startedAt, image];
}

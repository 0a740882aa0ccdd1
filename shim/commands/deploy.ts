import { Failure, UsageError } from "../errors.js";
import { Cluster } from "../kubernetes/cluster.js";
import { type ClusterOptions, Connection } from "../kubernetes/connection.js";
import type { ProxyStatus } from "../kubernetes/proxies.js";
import type { RolloutResult } from "../kubernetes/rollout.js";
import { colours } from "../output/colours.js";
import { harmless } from "../output/text.js";
import type { Io } from "../output/io.js";
import { type Change, isChange } from "../plan/comparison.js";
import { titleOf } from "../render/istio/resource.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { refuseBadGround } from "./deploy-preflight.js";
import { loadTarget, type MeshTarget, targetIn, type TargetOptions } from "./deploy-target.js";
import { proxyAsJson } from "./proxy-text.js";
import { checkCodes } from "./skip-checks.js";

export interface DeployOptions extends TargetOptions, ClusterCommandOptions {
  /** Codes of checks to leave out before. */
  readonly skipChecks: readonly string[];
  /** Change nothing: ask nobody (client), or the API server (server). */
  readonly dryRun?: "client" | "server" | undefined;
  /** Wait until every proxy runs it, and bring back what was there if not. */
  readonly wait: boolean;
  readonly timeout: number;
  readonly output: "text" | "json";
}

/** What became of one cluster. */
type Outcome =
  | { readonly context: string; readonly state: "deployed"; readonly result: RolloutResult }
  | { readonly context: string; readonly state: "failed"; readonly error: unknown }
  | { readonly context: string; readonly state: "not begun" };

/**
 * Deploys a hopgate.yaml to one cluster after the other. The first that fails is put back, and ends it.
 * Returns 0 only if every proxy of every cluster runs what was deployed.
 */
export async function deploy(options: DeployOptions, io: Io, signal: AbortSignal): Promise<number> {
  checkCodes(options.skipChecks);
  const clusters = clustersOf(options);
  if (options.dryRun !== "client") await answering(clusters, signal);
  const target = await loadTarget(options, io, signal);
  if (options.dryRun !== undefined) return dryRun(target, clusters, options, io, signal);
  const outcomes: Outcome[] = [];
  for (const cluster of clusters) {
    const context = cluster.context ?? "the current context";
    const isOver = outcomes.some(({ state }) => state === "failed");
    outcomes.push(isOver ? { context, state: "not begun" } : await deployTo(target, cluster, options, io, signal));
  }
  print(target, outcomes, options, io);
  const failed = outcomes.find((outcome) => outcome.state === "failed");
  if (failed === undefined) return 0;
  if (failed.error instanceof Failure || failed.error instanceof UsageError)
    throw severalClusters(outcomes, failed.error);
  // Interrupted, or a defect of ours: which clusters have it has to be said all the same.
  if (outcomes.length > 1) io.stderr.write(`${stateOfEach(outcomes)}\n`);
  throw failed.error;
}

/** @throws Failure or UsageError if one of the clusters is not there: none is begun with then */
async function answering(clusters: readonly ClusterOptions[], signal: AbortSignal): Promise<void> {
  const connections = clusters.map((where) => Connection.open(where, signal));
  try {
    await Promise.all(connections.map((connection) => connection.send({ method: "GET", path: "/version" })));
  } catch (cause) {
    if (!(cause instanceof Failure) || clusters.length === 1) throw cause;
    throw new Failure(`${cause.message}\nNothing was begun in any of the ${String(clusters.length)} clusters.`, {
      cause,
    });
  }
}

async function deployTo(
  target: MeshTarget,
  where: ClusterOptions,
  options: DeployOptions,
  io: Io,
  signal: AbortSignal,
): Promise<Outcome> {
  const { wait, timeout } = options;
  let context = where.context ?? "the current context";
  try {
    const cluster = Cluster.open(target.mesh, where, signal);
    context = cluster.name;
    const own = await targetIn(cluster, target, options.api);
    await refuseBadGround(cluster, own, options, io);
    const notify = (line: string): void => void io.stderr.write(`${context}: ${harmless(line)}\n`);
    const rollout = cluster.rollout({ notify, signal, timeoutMs: wait ? timeout * 1000 : 0 });
    return { context, state: "deployed", result: await rollout.to(own) };
  } catch (error) {
    return { context, state: "failed", error };
  }
}

/** What would be done with each resource: by its name alone (client), or as the API server says (server). */
async function dryRun(
  target: MeshTarget,
  clusters: readonly ClusterOptions[],
  options: DeployOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const { dryRun: where, output, api } = options;
  const grounds: (() => Promise<void>)[] = [];
  const all: { readonly context?: string; readonly resource: string; readonly would: Would }[] = [];
  if (where === "client")
    all.push(...target.resources.map((one) => ({ resource: titleOf(one), would: "apply" as const })));
  else
    for (const one of clusters) {
      const cluster = Cluster.open(target.mesh, one, signal);
      const own = await targetIn(cluster, target, api);
      const { resources } = own;
      grounds.push(() => refuseBadGround(cluster, own, options, io));
      for (const change of await cluster.preview.changes(resources))
        all.push({ context: cluster.name, resource: titleOf(change.resource), would: wouldOf(change) });
      for (const resource of await cluster.preview.removals(resources))
        all.push({ context: cluster.name, resource: titleOf(resource), would: "remove" });
    }
  if (output === "json") io.stdout.write(`${JSON.stringify({ mesh: target.mesh.name, resources: all }, null, 2)}\n`);
  else for (const { resource, would } of all) io.stdout.write(`${resource} ${WORDS[would]} (${where ?? ""} dry run)\n`);
  for (const refuse of grounds) await refuse();
  return 0;
}

type Would = "apply" | "create" | "change" | "keep" | "remove";

/** As kubectl says it. */
const WORDS: Readonly<Record<Would, string>> = {
  apply: "applied",
  create: "created",
  change: "configured",
  keep: "unchanged",
  remove: "removed",
};

function wouldOf(change: Change): Would {
  if (change.live === undefined) return "create";
  return isChange(change) ? "change" : "keep";
}

function print(target: MeshTarget, outcomes: readonly Outcome[], { output }: DeployOptions, io: Io): void {
  if (output === "json") {
    const clusters = outcomes.map((outcome) => ({
      context: outcome.context,
      state: outcome.state,
      ...(outcome.state === "failed" && { reason: messageOf(outcome.error) }),
      ...(outcome.state === "deployed" && {
        revision: outcome.result.revision,
        changed: outcome.result.isChanged,
        proxies: outcome.result.proxies.map(proxyAsJson),
      }),
    }));
    io.stdout.write(`${JSON.stringify({ mesh: target.mesh.name, image: target.image, clusters }, null, 2)}\n`);
    return;
  }
  for (const outcome of outcomes) {
    if (outcome.state !== "deployed") continue;
    const { revision, isChanged, proxies } = outcome.result;
    const what = isChanged ? `revision ${String(revision)} deployed` : `revision ${String(revision)} unchanged`;
    io.stdout.write(`${colours(io)("green", "ok")} ${outcome.context}: ${what}, ${loaded(proxies)}\n`);
  }
}

function loaded(proxies: readonly ProxyStatus[]): string {
  const byHop = new Map<string, number>();
  for (const { hop } of proxies) byHop.set(hop, (byHop.get(hop) ?? 0) + 1);
  return [...byHop]
    .map(([hop, count]) => `${hop} runs it in ${String(count)} ${count === 1 ? "proxy" : "proxies"}`)
    .join(", ");
}

/** With several clusters: which has it, which was put back, and which was not begun. */
function severalClusters(outcomes: readonly Outcome[], error: Failure | UsageError): Error {
  if (outcomes.length === 1) return error;
  const { message, fix } = error;
  return new Failure(`${message}\n${stateOfEach(outcomes)}`, { cause: error, ...(fix !== undefined && { fix }) });
}

function stateOfEach(outcomes: readonly Outcome[]): string {
  const lines = outcomes.map(({ context, state }) => `  ${context}: ${state}`);
  return [`Of ${String(outcomes.length)} clusters:`, ...lines].join("\n");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

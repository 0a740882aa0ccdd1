import type { Mesh } from "../config/model.js";
import { Failure, UsageError } from "../errors.js";
import { type Change, isChange } from "../plan/comparison.js";
import { currentRevision, type ExpectedHop, newestFirst, nextNumber, type Revision } from "../plan/revision.js";
import { type Transition, transition } from "../plan/transition.js";
import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { each, type Objects } from "./objects.js";
import type { Proxies, ProxyStatus } from "./proxies.js";
import type { Revisions } from "./revisions.js";

/** What shall be in a cluster. */
export interface Target {
  readonly image: string;
  readonly hops: readonly ExpectedHop[];
  readonly resources: readonly Resource[];
  readonly rollbackOf?: number;
}

export interface RolloutOptions {
  readonly notify: (line: string) => void;
  readonly signal: AbortSignal;
  /** How long proxies may take until all of them run it; 0: look once, and undo nothing. */
  readonly timeoutMs: number;
}

export interface RolloutResult {
  readonly revision: number;
  readonly isChanged: boolean;
  readonly proxies: readonly ProxyStatus[];
}

const POLL_MS = 200;
/** How long nothing more comes from istiod when it has sent all that was applied together. */
const QUIET_MS = 400;
/** If nothing has come by then, there was nothing that the proxies had to be told. */
const NOTHING_NEW_MS = 2000;

/** Brings one cluster from what is in it to what shall be, and back if that fails. */
export class Rollout {
  constructor(
    private readonly mesh: Mesh,
    private readonly objects: Objects,
    private readonly proxies: Proxies,
    private readonly revisions: Revisions,
    private readonly options: RolloutOptions,
  ) {}

  /**
   * What applying the target would do, asked of the API server and the webhooks behind it. Changes nothing.
   * @throws ApiError if any of it would be refused
   */
  async changes(resources: readonly Resource[]): Promise<readonly Change[]> {
    return each(resources, async (resource) => {
      const live = await this.objects.get(resource);
      const owner = live === undefined ? undefined : meshNameOf(live);
      if (owner !== undefined && owner !== this.mesh.name) {
        throw new UsageError(
          `${titleOf(resource)} belongs to the mesh ${owner}`,
          "give one of the two meshes another name, or uninstall the other first",
        );
      }
      return { resource, live, applied: await this.objects.apply(resource, { dryRun: true }) };
    });
  }

  /**
   * Applies the target, and waits until every proxy runs it.
   * @throws Failure if they do not in time, or something was refused; then the revision of before is back
   */
  async to(target: Target): Promise<RolloutResult> {
    const changes = await this.changes(target.resources);
    const known = await this.revisions.list();
    const current = currentRevision(known);
    const before = inventory(known);
    const plan = transition(before, target.resources);
    const isChanged = changes.some(isChange) || plan.last.length > 0 || plan.removedPlugins.length > 0;
    if (!isChanged && current !== undefined && newestFirst(known)[0] === current) {
      return { revision: current.number, isChanged, proxies: await this.verified(target.hops) };
    }
    const revision: Revision = {
      format: 1,
      state: "pending",
      number: nextNumber(known),
      mesh: this.mesh.name,
      ...target,
      adopted: adoptedBy(known, before, changes),
      startedAt: new Date().toISOString(),
    };
    await this.revisions.write(revision);
    try {
      const proxies = await this.carryOut(plan, revision, changes, hopsOf(known));
      await this.end(revision, "deployed");
      return { revision: revision.number, isChanged, proxies };
    } catch (error) {
      this.options.signal.throwIfAborted();
      if (this.options.timeoutMs === 0) throw error;
      throw await this.undone(revision, current, error);
    }
  }

  /** What bringing in `resources` and nothing else would remove. */
  async removals(resources: readonly Resource[]): Promise<readonly Resource[]> {
    const before = inventory(await this.revisions.list());
    const wanted = new Set(resources.map(titleOf));
    return before.filter((resource) => !wanted.has(titleOf(resource)));
  }

  /** Removes what hopgate made, plugins first; what was there before loses what hopgate wrote into it. */
  async remove(): Promise<readonly Resource[]> {
    const known = await this.revisions.list();
    const plan = transition(inventory(known), []);
    const adopted = new Set(newestFirst(known)[0]?.adopted);
    await this.removeAll(plan, adopted, hopsOf(known));
    await this.revisions.clear();
    return [...plan.removedPlugins, ...plan.last];
  }

  private async carryOut(
    plan: Transition,
    { hops, adopted }: Revision,
    changes: readonly Change[],
    hopsBefore: readonly ExpectedHop[],
  ): Promise<readonly ProxyStatus[]> {
    const { notify } = this.options;
    const concerned = [...hops, ...hopsBefore.filter(({ hop }) => !hops.some((one) => one.hop === hop))];
    const changed = new Set(changes.filter(isChange).map(({ resource }) => titleOf(resource)));
    const isNews = plan.first.some((resource) => changed.has(titleOf(resource)) || !isIn(changes, resource));
    const settled = isNews ? await this.beginSettling(concerned) : undefined;
    await each(plan.first, (resource) => this.objects.apply(resource));
    notify(`${String(plan.first.length)} resources and routes applied`);
    await settled?.();
    await each(plan.plugins, (resource) => this.objects.apply(resource));
    notify(`${String(plan.plugins.length)} plugins applied`);
    const proxies = await this.verified(hops);
    await this.removeAll(plan, new Set(adopted), hopsBefore);
    return proxies;
  }

  private async removeAll(plan: Transition, adopted: ReadonlySet<string>, hops: readonly ExpectedHop[]): Promise<void> {
    if (plan.removedPlugins.length > 0) {
      const settled = await this.beginSettling(hops);
      await each(plan.removedPlugins, (resource) => this.objects.delete(resource));
      await settled();
    }
    const remove = (resource: Resource): Promise<void> =>
      adopted.has(titleOf(resource)) ? this.objects.release(resource) : this.objects.delete(resource);
    await each(
      plan.last.filter((resource) => stageOf(resource) === "routes"),
      remove,
    );
    await each(
      plan.last.filter((resource) => stageOf(resource) !== "routes"),
      remove,
    );
    const removed = plan.removedPlugins.length + plan.last.length;
    if (removed > 0) this.options.notify(`${String(removed)} resources removed`);
  }

  /**
   * Looks how much each proxy has had from istiod. What is returned waits until each has had more, and then nothing more for a
   * moment: Envoy has no other sign, for those who may only read its metrics, that it has new routes.
   */
  private async beginSettling(hops: readonly ExpectedHop[]): Promise<() => Promise<void>> {
    const bytes = async (): Promise<ReadonlyMap<string, number>> =>
      new Map(
        (await this.proxies.statuses(hops)).flatMap(({ namespace, pod, report }) =>
          report === undefined ? [] : [[`${namespace}/${pod}`, report.configurationBytes]],
        ),
      );
    const initial = await bytes();
    return async () => {
      const startMs = performance.now();
      let last = initial;
      let quietSinceMs = startMs;
      for (;;) {
        await this.pause();
        const now = await bytes();
        const nowMs = performance.now();
        if ([...now].some(([pod, size]) => size !== last.get(pod))) quietSinceMs = nowMs;
        last = now;
        const isNewEverywhere = [...initial].every(([pod, size]) => now.get(pod) !== size);
        if (nowMs - quietSinceMs >= QUIET_MS && (isNewEverywhere || nowMs - startMs >= NOTHING_NEW_MS)) return;
      }
    };
  }

  /** @throws Failure if not every proxy of every hop runs what is expected, in time */
  private async verified(hops: readonly ExpectedHop[]): Promise<readonly ProxyStatus[]> {
    const deadlineMs = performance.now() + this.options.timeoutMs;
    for (;;) {
      const proxies = await this.proxies.statuses(hops);
      const missing = shortcomings(hops, proxies);
      if (missing.length === 0) return proxies;
      if (performance.now() >= deadlineMs) {
        throw new Failure(`Not every proxy runs what was deployed:\n${missing.map((line) => `  ${line}`).join("\n")}`, {
          fix: "hopgate doctor says more.",
        });
      }
      await this.pause();
    }
  }

  private async end(revision: Revision, state: Revision["state"], reason?: string): Promise<void> {
    const endedAt = new Date().toISOString();
    await this.revisions.write({ ...revision, state, endedAt, ...(reason !== undefined && { reason }) });
  }

  /** Brings back what was there before `failed`. Returns what to say about it all. */
  private async undone(failed: Revision, current: Revision | undefined, error: unknown): Promise<Failure> {
    const { notify } = this.options;
    const reason = error instanceof Error ? error.message : String(error);
    const back = current === undefined ? "nothing" : `revision ${String(current.number)}`;
    notify(`failed; bringing back ${back}`);
    const fix = error instanceof Failure ? error.fix : undefined;
    try {
      const known = await this.revisions.list();
      if (known.some(({ number }) => number > failed.number)) {
        return new Failure(`${reason}\nAnother deployment has begun since: nothing was undone.`, { cause: error });
      }
      const plan = transition(inventory(known), current?.resources ?? []);
      if (current === undefined) await this.removeAll(plan, new Set(failed.adopted), failed.hops);
      else await this.carryOut(plan, { ...current, adopted: failed.adopted }, [], failed.hops);
      await this.end(failed, "failed", reason);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      return new Failure(
        `${reason}\nIt could not be undone either: ${text}\nRevision ${String(failed.number)} is half done.`,
        { cause: error, fix: "Run hopgate deploy or hopgate rollback again: both go on from where this ended." },
      );
    }
    const failure = `${reason}\nRevision ${String(failed.number)} was undone; ${back} is in place.`;
    return new Failure(failure, { cause: error, ...(fix !== undefined && { fix }) });
  }

  private async pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    this.options.signal.throwIfAborted();
  }
}

/** Everything of ours that may be in the cluster: of the current revision, and of those since that were not ended or undone. */
function inventory(revisions: readonly Revision[]): readonly Resource[] {
  const current = currentRevision(revisions);
  const since = newestFirst(revisions).filter(({ number }) => number >= (current?.number ?? 0));
  const all = new Map<string, Resource>();
  // The newest word about a resource stands.
  for (const { resources } of since) {
    for (const resource of resources) {
      if (!all.has(titleOf(resource))) all.set(titleOf(resource), resource);
    }
  }
  return [...all.values()];
}

function hopsOf(revisions: readonly Revision[]): readonly ExpectedHop[] {
  return currentRevision(revisions)?.hops ?? [];
}

/** What was there before hopgate: known from earlier, or there now although no revision has it. */
function adoptedBy(
  revisions: readonly Revision[],
  before: readonly Resource[],
  changes: readonly Change[],
): readonly string[] {
  const ours = new Set(before.map(titleOf));
  const found = changes.filter(({ live, resource }) => live !== undefined && !ours.has(titleOf(resource)));
  const foreign = found.filter(({ live }) => live !== undefined && meshNameOf(live) === undefined);
  const earlier = newestFirst(revisions)[0]?.adopted ?? [];
  return [...new Set([...earlier, ...foreign.map(({ resource }) => titleOf(resource))])].sort();
}

function isIn(changes: readonly Change[], resource: Resource): boolean {
  return changes.some((change) => titleOf(change.resource) === titleOf(resource));
}

/** A line for each proxy that does not run what it should, and for each hop without proxies. */
export function shortcomings(hops: readonly ExpectedHop[], proxies: readonly ProxyStatus[]): readonly string[] {
  const empty = hops.filter(({ hop }) => !proxies.some((proxy) => proxy.hop === hop));
  return [
    ...empty.map(({ hop, namespace }) => `${hop}: no Pod in ${namespace} has its labels`),
    ...proxies
      .filter(({ state }) => state !== "loaded")
      .map(({ hop, namespace, pod, state, reason }) => `${hop}: ${namespace}/${pod} is ${state}: ${reason}`),
  ];
}

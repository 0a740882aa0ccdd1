import type { Mesh } from "../config/model.js";
import { Failure, UsageError } from "../errors.js";
import { type Change, isChange } from "../plan/comparison.js";
import { adoptedBy, currentHops, inventory } from "../plan/inventory.js";
import { currentRevision, type ExpectedHop, newestFirst, nextNumber, type Revision } from "../plan/revision.js";
import { type Transition, transition } from "../plan/transition.js";
import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { each, type Objects } from "./objects.js";
import type { Proxies, ProxyStatus } from "./proxies.js";
import type { Revisions } from "./revisions.js";
import { beginSettling } from "./settling.js";

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
    const adopted = adoptedBy(known, before, changes);
    await this.mayRemove(plan, new Set(adopted));
    const isChanged = changes.some(isChange) || plan.last.length > 0 || plan.removedPlugins.length > 0;
    if (!isChanged && current !== undefined && newestFirst(known)[0] === current) {
      return { revision: current.number, isChanged, proxies: await this.verified(target.hops) };
    }
    if (this.options.timeoutMs > 0) await this.canAsk(target.hops);
    const revision: Revision = {
      format: 1,
      state: "pending",
      number: nextNumber(known),
      mesh: this.mesh.name,
      ...target,
      adopted,
      startedAt: new Date().toISOString(),
    };
    await this.revisions.write(revision);
    try {
      const proxies = await this.carryOut(plan, revision, changes, currentHops(known));
      await this.end(revision, "deployed");
      return { revision: revision.number, isChanged, proxies };
    } catch (error) {
      this.options.signal.throwIfAborted();
      if (this.options.timeoutMs === 0) throw error;
      throw await this.undone(revision, current, error);
    }
  }

  /** What there is and bringing in `resources` and nothing else would remove. */
  async removals(resources: readonly Resource[]): Promise<readonly Resource[]> {
    const wanted = new Set(resources.map(titleOf));
    const gone = inventory(await this.revisions.list()).filter((resource) => !wanted.has(titleOf(resource)));
    const live = await each(gone, (resource) => this.objects.get(resource));
    return gone.filter((_, index) => live[index] !== undefined);
  }

  /** Removes what hopgate made, plugins first; what was there before loses what hopgate wrote into it. */
  async remove(): Promise<void> {
    const known = await this.revisions.list();
    const plan = transition(inventory(known), []);
    const adopted = new Set(newestFirst(known)[0]?.adopted);
    await this.mayRemove(plan, adopted);
    await this.removeAll(plan, adopted, currentHops(known));
    await this.revisions.clear();
  }

  /** @throws Failure if, in time, not every proxy there is says what it runs: it would not when it runs the new either */
  private async canAsk(hops: readonly ExpectedHop[]): Promise<void> {
    const deadlineMs = performance.now() + this.options.timeoutMs;
    for (;;) {
      const proxies = (await this.proxies.statuses(hops)).filter(({ state }) => state === "unknown");
      if (proxies.length === 0) return;
      if (performance.now() >= deadlineMs) {
        throw new Failure(
          `Not every proxy says what it runs:\n${indented(proxies.map(shortcoming))}\nNothing was changed.`,
          {
            fix: "hopgate doctor says more.",
          },
        );
      }
      await this.pause();
    }
  }

  /** Asks whether all could be removed that will be. @throws ApiError if not: nothing is to be begun that cannot be ended */
  private async mayRemove({ removedPlugins, last }: Transition, adopted: ReadonlySet<string>): Promise<void> {
    await each([...removedPlugins, ...last], (resource) => this.removeOne(resource, adopted, { dryRun: true }));
  }

  private async carryOut(
    plan: Transition,
    { hops, adopted }: Revision,
    changes: readonly Change[],
    hopsBefore: readonly ExpectedHop[],
  ): Promise<readonly ProxyStatus[]> {
    const concerned = [...hops, ...hopsBefore.filter(({ hop }) => !hops.some((one) => one.hop === hop))];
    const unchanged = new Set(changes.filter((change) => !isChange(change)).map(({ resource }) => titleOf(resource)));
    const isNews = (resources: readonly Resource[]): boolean =>
      resources.some((resource) => !unchanged.has(titleOf(resource)));
    const stages = [
      ["resources and routes applied", plan.first],
      ["plugins for the time between applied", plan.bridgePlugins],
      ["routes moved", plan.movedRoutes],
    ] as const;
    for (const [what, resources] of stages) {
      if (resources.length === 0) continue;
      const settled = isNews(resources) ? await this.beginSettling(concerned) : undefined;
      await this.apply(what, resources);
      await settled?.();
    }
    await this.apply("plugins applied", plan.plugins);
    const copies = replacedPlugins(plan, hops, hopsBefore);
    const proxies = await this.verified(hops, copies);
    await this.removeAll(plan, new Set(adopted), hopsBefore);
    return copies.size === 0 ? proxies : this.verified(hops);
  }

  private async apply(what: string, resources: readonly Resource[]): Promise<void> {
    await each(resources, (resource) => this.objects.apply(resource));
    this.options.notify(`${what}: ${String(resources.length)}`);
  }

  private beginSettling(hops: readonly ExpectedHop[]): Promise<() => Promise<void>> {
    return beginSettling(this.proxies, hops, () => this.pause());
  }

  /** What was there before loses what hopgate wrote into it. */
  private removeOne(resource: Resource, adopted: ReadonlySet<string>, options = { dryRun: false }): Promise<void> {
    return adopted.has(titleOf(resource))
      ? this.objects.release(resource, options)
      : this.objects.delete(resource, options);
  }

  private async removeAll(plan: Transition, adopted: ReadonlySet<string>, hops: readonly ExpectedHop[]): Promise<void> {
    if (plan.removedPlugins.length > 0) {
      const settled = await this.beginSettling(hops);
      await each(plan.removedPlugins, (resource) => this.removeOne(resource, adopted));
      await settled();
    }
    const remove = (resource: Resource): Promise<void> => this.removeOne(resource, adopted);
    await each(
      plan.last.filter((resource) => stageOf(resource) === "routes"),
      remove,
    );
    await each(
      plan.last.filter((resource) => stageOf(resource) !== "routes"),
      remove,
    );
    const removed = plan.removedPlugins.length + plan.last.length;
    if (removed > 0) this.options.notify(`resources removed: ${String(removed)}`);
  }

  /**
   * `twice`: names of hops that for the moment have two plugins which report the same.
   * @throws Failure if not every proxy of every hop runs what is expected, in time
   */
  private async verified(
    hops: readonly ExpectedHop[],
    twice: ReadonlySet<string> = new Set(),
  ): Promise<readonly ProxyStatus[]> {
    const deadlineMs = performance.now() + this.options.timeoutMs;
    for (;;) {
      const proxies = await this.proxies.statuses(hops, twice);
      const missing = shortcomings(hops, proxies);
      if (missing.length === 0) return proxies;
      if (performance.now() >= deadlineMs) {
        throw new Failure(`Not every proxy runs what was deployed:\n${indented(missing)}`, {
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

/** The hops whose plugin takes the place of one of another kind that reports the same: only the number of VMs tells them apart. */
function replacedPlugins(
  { removedPlugins, plugins }: Transition,
  hops: readonly ExpectedHop[],
  hopsBefore: readonly ExpectedHop[],
): ReadonlySet<string> {
  const nameOf = ({ metadata: { namespace, name } }: Resource): string => `${namespace}/${name}`;
  const removed = new Set(removedPlugins.map(nameOf));
  const same = hops.filter((hop) =>
    hopsBefore.some((old) => old.hop === hop.hop && old.config === hop.config && old.module === hop.module),
  );
  const replaced = plugins.filter((plugin) => removed.has(nameOf(plugin)));
  return new Set(replaced.length === 0 ? [] : same.map(({ hop }) => hop));
}

/** A line for each proxy that does not run what it should, and for each hop without proxies. */
export function shortcomings(hops: readonly ExpectedHop[], proxies: readonly ProxyStatus[]): readonly string[] {
  const empty = hops.filter(({ hop }) => !proxies.some((proxy) => proxy.hop === hop));
  return [
    ...empty.map(({ hop, namespace }) => `${hop}: no Pod in ${namespace} has its labels`),
    ...proxies.filter(({ state }) => state !== "loaded").map(shortcoming),
  ];
}

function shortcoming({ hop, namespace, pod, state, reason }: ProxyStatus): string {
  return `${hop}: ${namespace}/${pod} is ${state}: ${reason}`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}

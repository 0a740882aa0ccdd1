import { type Change, isChange } from "../plan/comparison.js";
import type { ExpectedHop } from "../plan/revision.js";
import type { Transition } from "../plan/transition.js";
import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { each, type Objects } from "./objects.js";
import type { ProxyStatus } from "./proxies.js";
import type { Waiting } from "./waiting.js";

/** What went, and what was there before hopgate and stays without what hopgate wrote into it. Only what was still there counts. */
export interface Removed {
  readonly deleted: number;
  readonly released: number;
}

/** Carries out a transition, stage by stage. */
export class Stages {
  constructor(
    private readonly objects: Objects,
    private readonly waiting: Waiting,
    private readonly notify: (line: string) => void,
  ) {}

  /** Asks whether all could be removed that will be. @throws ApiError if not: nothing is to be begun that cannot be ended */
  async mayRemove({ removedPlugins, last }: Transition, adopted: ReadonlySet<string>): Promise<void> {
    await each([...removedPlugins, ...last], (resource) => this.removeOne(resource, adopted, { dryRun: true }));
  }

  /**
   * `adopted`: titles of what was there before hopgate. `changes`: what applying each resource would do, as far as it is known.
   * `mayGoOn` throws if nothing more may be changed, because somebody else deploys by now.
   */
  async carryOut(
    plan: Transition,
    { hops, adopted }: { readonly hops: readonly ExpectedHop[]; readonly adopted: readonly string[] },
    changes: readonly Change[],
    hopsBefore: readonly ExpectedHop[],
    mayGoOn: () => Promise<void>,
  ): Promise<readonly ProxyStatus[]> {
    const concerned = [...hops, ...hopsBefore.filter(({ hop }) => !hops.some((one) => one.hop === hop))];
    const late = new Set(plan.lateSurroundings.map(titleOf));
    const unchanged = new Set(changes.filter((change) => !isChange(change)).map(({ resource }) => titleOf(resource)));
    const isNews = (resource: Resource): boolean => late.has(titleOf(resource)) || !unchanged.has(titleOf(resource));
    const settle = async (what: string, resources: readonly Resource[]): Promise<void> => {
      if (resources.length === 0) return;
      await mayGoOn();
      const settled = resources.some(isNews) ? await this.waiting.settling(concerned) : undefined;
      await this.apply(what, resources);
      await settled?.();
    };
    await settle("kept for the time between", plan.kept);
    await settle("resources and routes applied", plan.first);
    await settle("plugins for the time between applied", plan.bridgePlugins);
    await settle("routes moved", plan.movedRoutes);
    await mayGoOn();
    await this.apply("plugins applied", plan.plugins);
    const proxies = await this.waiting.untilLoaded(hops);
    await mayGoOn();
    await settle("resources that had to wait applied", plan.lateSurroundings);
    await this.removeAll(plan, new Set(adopted), hopsBefore);
    return proxies;
  }

  /** Removes what has to go, plugins first; what was there before loses what hopgate wrote into it. */
  async removeAll(plan: Transition, adopted: ReadonlySet<string>, hops: readonly ExpectedHop[]): Promise<Removed> {
    const counts = { deleted: 0, released: 0 };
    const remove = async (resource: Resource): Promise<void> => {
      const done = await this.removeOne(resource, adopted);
      if (done !== undefined) counts[done]++;
    };
    if (plan.removedPlugins.length > 0) {
      const settled = await this.waiting.settling(hops);
      await each(plan.removedPlugins, remove);
      await settled();
    }
    const isRoute = (resource: Resource): boolean => stageOf(resource) === "routes";
    await each(plan.last.filter(isRoute), remove);
    await each(
      plan.last.filter((resource) => !isRoute(resource)),
      remove,
    );
    if (counts.deleted > 0) this.notify(`resources removed: ${String(counts.deleted)}`);
    if (counts.released > 0) this.notify(`resources of others given back: ${String(counts.released)}`);
    return counts;
  }

  private async apply(what: string, resources: readonly Resource[]): Promise<void> {
    await each(resources, (resource) => this.objects.apply(resource));
    this.notify(`${what}: ${String(resources.length)}`);
  }

  /**
   * What was there before, or has got something from others since, loses what hopgate wrote into it. What has become another's under the
   * same name is left alone. What was done; undefined: nothing.
   */
  private async removeOne(
    resource: Resource,
    adopted: ReadonlySet<string>,
    options = { dryRun: false },
  ): Promise<keyof Removed | undefined> {
    const live = await this.objects.get(resource);
    if (live === undefined) return undefined;
    const [title, meshName] = [titleOf(resource), meshNameOf(resource)];
    if (meshNameOf(live) !== meshName) {
      if (!options.dryRun) this.notify(`${title} is not hopgate's any more: left alone`);
      return undefined;
    }
    const isShared = adopted.has(title) || (meshName === undefined && this.objects.hasOthers(live));
    if (isShared) return (await this.objects.release(resource, options)) ? "released" : undefined;
    return (await this.objects.delete(resource, options)) ? "deleted" : undefined;
  }
}

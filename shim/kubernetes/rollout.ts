import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import type { Mesh } from "../config/model.js";
import { Failure, Interrupted } from "../errors.js";
import { type Change, isChange } from "../plan/comparison.js";
import { adoptedBy, currentHops, inventory } from "../plan/inventory.js";
import {
  currentRevision,
  type ExpectedHop,
  halfDone,
  newestFirst,
  nextNumber,
  type Revision,
} from "../plan/revision.js";
import { transition } from "../plan/transition.js";
import { expectedOf, isReported, marked } from "../plan/mark.js";
import { othersFields, textOf } from "../plan/others-fields.js";
import { fieldManagerOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { each, type Objects } from "./objects.js";
import type { Preview } from "./preview.js";
import type { Proxies, ProxyStatus } from "./proxies.js";
import { type Revisions, somebodyElse } from "./revisions.js";
import { type Removed, Stages } from "./stages.js";
import { Waiting, type WaitOptions } from "./waiting.js";

/** What shall be in a cluster. */
export interface Target {
  readonly image: string;
  readonly hops: readonly ExpectedHop[];
  readonly resources: readonly Resource[];
  readonly rollbackOf?: number;
}

export interface RolloutResult {
  readonly revision: number;
  readonly isChanged: boolean;
  readonly proxies: readonly ProxyStatus[];
}

/** Brings one cluster from what is in it to what shall be, and back if that fails. */
export class Rollout {
  private readonly waiting: Waiting;
  private readonly stages: Stages;

  constructor(
    private readonly mesh: Mesh,
    private readonly objects: Objects,
    private readonly preview: Preview,
    proxies: Proxies,
    private readonly revisions: Revisions,
    private readonly options: WaitOptions,
  ) {
    this.waiting = new Waiting(proxies, options);
    this.stages = new Stages(objects, this.waiting, options.notify);
  }

  /** The plugins that are deployed, if nothing was begun since, and that are still as they were. */
  private async inPlace(known: readonly Revision[]): Promise<readonly Resource[]> {
    const current = currentRevision(known);
    if (current === undefined || newestFirst(known)[0] !== current) return [];
    const plugins = current.resources.filter((resource) => stageOf(resource) === "plugin");
    const live = await each(plugins, (plugin) => this.objects.get(plugin));
    return plugins.filter((plugin, index) => isDeepStrictEqual(live[index]?.["spec"], plugin["spec"]));
  }

  /**
   * Applies the target, and waits until every proxy runs it.
   * @throws Failure if they do not in time, or something was refused; then the revision of before is back
   * @throws Interrupted if the user ended it when it had begun; then nothing is undone
   */
  to(target: Target): Promise<RolloutResult> {
    return this.interruptible((leaves) => this.bring(target, leaves));
  }

  private async bring(target: Target, leaves: (what: string) => void): Promise<RolloutResult> {
    const known = await this.known();
    const served = await this.thatAreServed(target.resources);
    const resources = isReported(target.hops, target.resources)
      ? marked(served, await this.inPlace(known), newMark())
      : served;
    const hops = resources === served ? target.hops : expectedOf(target.hops, resources);
    const changes = await this.preview.ofApplying(resources);
    const current = currentRevision(known);
    const before = inventory(known);
    const plan = transition(before, resources);
    const adopted = adoptedBy(known, before, changes);
    await this.stages.mayRemove(plan, new Set(adopted));
    const isChanged = changes.some(isChange) || plan.last.length > 0 || plan.removedPlugins.length > 0;
    if (!isChanged && current !== undefined && newestFirst(known)[0] === current) {
      return { revision: current.number, isChanged, proxies: await this.waiting.untilLoaded(hops) };
    }
    if (this.options.timeoutMs > 0) await this.waiting.untilAnswering(hops);
    const revision: Revision = {
      format: 1,
      state: "pending",
      number: nextNumber(known),
      mesh: this.mesh.name,
      ...target,
      hops,
      resources,
      adopted,
      startedAt: new Date().toISOString(),
    };
    // It may be there from here on, whether the API server's answer comes or not.
    leaves(halfDone(revision));
    await this.revisions.write(revision);
    const endBeats = this.revisions.beat(revision);
    try {
      const mayGoOn = (): Promise<void> => this.isNewest(revision);
      const proxies = await this.stages.carryOut(plan, revision, changes, currentHops(known), mayGoOn);
      await this.isNewest(revision);
      await this.refuseNewFields(changes);
      await endBeats();
      await this.end(revision, "deployed");
      return { revision: revision.number, isChanged, proxies };
    } catch (error) {
      this.options.signal.throwIfAborted();
      if (this.options.timeoutMs === 0) throw leftHalfDone(revision, error);
      throw await this.undone(revision, current, error, endBeats);
    } finally {
      await endBeats();
    }
  }

  /** Without GCPBackends where the cluster has none any more: they stand beside the rest, and nothing goes by them. */
  private async thatAreServed(resources: readonly Resource[]): Promise<readonly Resource[]> {
    const served = await each(resources, async (one) => (one.kind === "GCPBackend" ? this.objects.served(one) : one));
    const left = resources.filter((_, index) => served[index] === undefined).map(titleOf);
    if (left.length > 0)
      this.options.notify(`left out, since the cluster does not have the kind any more: ${left.join(", ")}`);
    return served.flatMap((one) => one ?? []);
  }

  /**
   * Removes what hopgate made, plugins first; what was there before loses what hopgate wrote into it.
   * @throws Interrupted if the user ended it when it had begun
   */
  remove(): Promise<Removed> {
    return this.interruptible(async (leaves) => {
      const known = await this.known();
      const plan = transition(inventory(known), []);
      const adopted = new Set(newestFirst(known)[0]?.adopted);
      await this.stages.mayRemove(plan, adopted);
      leaves("not everything is removed; hopgate uninstall goes on from there");
      const removed = await this.stages.removeAll(plan, adopted, currentHops(known));
      const isKnown = ({ number }: Revision): boolean => known.some((revision) => revision.number === number);
      if (!(await this.revisions.list()).every(isKnown)) throw somebodyElse(this.mesh);
      await this.revisions.clear();
      return removed;
    });
  }

  /** The revisions. @throws Failure if somebody else is deploying */
  private async known(): Promise<readonly Revision[]> {
    const known = await this.revisions.list();
    const [newest] = newestFirst(known);
    if (newest?.state !== "pending") return known;
    this.options.notify(`revision ${String(newest.number)} has not ended: looking whether somebody is at it`);
    if (await this.revisions.isAlive(newest, () => this.waiting.pause())) throw somebodyElse(this.mesh);
    return known;
  }

  /** @throws Failure if a plugin has got a field from somebody else since: where and how the filter runs is then theirs */
  private async refuseNewFields(changes: readonly Change[]): Promise<void> {
    const plugins = changes.filter(({ resource }) => stageOf(resource) === "plugin");
    await each(plugins, async ({ resource, live }) => {
      const now = await this.objects.get(resource);
      const own = fieldManagerOf(this.mesh);
      const before = new Set(live === undefined ? [] : othersFields(live, resource, own).map(textOf));
      const added = now === undefined ? [] : othersFields(now, resource, own).filter((one) => !before.has(textOf(one)));
      if (added.length === 0) return;
      throw new Failure(`${titleOf(resource)} has got meanwhile: ${added.map(textOf).join(", ")}.`, {
        fix: "hopgate doctor says how to take it away.",
      });
    });
  }

  /** @throws Failure if another deployment has begun since: what it needs must not be removed */
  private async isNewest({ number }: Revision): Promise<void> {
    const known = await this.revisions.list();
    const isGone = !known.some((other) => other.number === number);
    if (isGone || known.some((other) => other.number > number)) throw somebodyElse(this.mesh);
  }

  /** Runs `work`, which tells what an interruption would leave behind from then on. */
  private async interruptible<T>(work: (leaves: (what: string) => void) => Promise<T>): Promise<T> {
    let left: string | undefined;
    try {
      return await work((what) => (left = what));
    } catch (error) {
      // What failed by itself says what became of it.
      const isInterrupted = this.options.signal.aborted && !(error instanceof Failure);
      if (!isInterrupted || left === undefined) throw error;
      throw new Interrupted(left, error);
    }
  }

  private async end(revision: Revision, state: Revision["state"], reason?: string): Promise<void> {
    const endedAt = new Date().toISOString();
    await this.revisions.write({ ...revision, state, endedAt, ...(reason !== undefined && { reason }) });
  }

  /** `current` as it comes back: what `failed` may have changed is deployed anew, and known by that from here on. */
  private async back(current: Revision, failed: Revision): Promise<Revision> {
    const served = await this.thatAreServed(current.resources);
    if (!isReported(current.hops, current.resources)) return { ...current, resources: served };
    const resources = marked(served, failed.resources, newMark());
    const again = { ...current, resources, hops: expectedOf(current.hops, resources) };
    await this.revisions.write(again);
    return again;
  }

  /** Brings back what was there before `failed`. Returns what to say about it all. */
  private async undone(
    failed: Revision,
    current: Revision | undefined,
    error: unknown,
    endBeats: () => Promise<void>,
  ): Promise<Failure> {
    const { notify, signal } = this.options;
    const reason = error instanceof Error ? error.message : String(error);
    const back = current === undefined ? "nothing" : `revision ${String(current.number)}`;
    notify(`failed; bringing back ${back}`);
    const fix = error instanceof Failure ? error.fix : undefined;
    try {
      const known = await this.revisions.list();
      if (known.some(({ number }) => number > failed.number)) {
        return new Failure(`${reason}\nAnother deployment has begun since: nothing was undone.`, { cause: error });
      }
      if (current === undefined && known.some(({ number, state }) => state === "pending" && number < failed.number)) {
        return new Failure(
          `${reason}\nNothing was undone: no earlier revision is known to have run in every proxy. Revision ${String(failed.number)} is half done.`,
          { cause: error, fix: "Mend what it failed on, and run hopgate deploy again; or hopgate uninstall." },
        );
      }
      const target = current === undefined ? undefined : await this.back(current, failed);
      const plan = transition(inventory(known), target?.resources ?? []);
      const { adopted } = failed;
      if (target === undefined) await this.stages.removeAll(plan, new Set(adopted), failed.hops);
      else
        await this.stages.carryOut(plan, { hops: target.hops, adopted }, [], failed.hops, () => this.isNewest(failed));
      await endBeats();
      await this.end(failed, "failed", reason);
    } catch (cause) {
      signal.throwIfAborted();
      const text = cause instanceof Error ? cause.message : String(cause);
      return new Failure(
        `${reason}\nIt could not be undone either: ${text}\nRevision ${String(failed.number)} is half done.`,
        { cause: error, fix: "Run hopgate deploy or hopgate rollback again: both go on from where this ended." },
      );
    }
    const failure = `${reason}\nRevision ${String(failed.number)} was undone; ${back} is in place.`;
    return new Failure(failure, { cause: error, ...(fix !== undefined && { fix }) });
  }
}

/** No earlier deployment's, also where those are forgotten. */
function newMark(): string {
  return randomBytes(4).toString("hex");
}

/** What failed without being undone, which has to be said. */
function leftHalfDone(revision: Revision, error: unknown): unknown {
  if (!(error instanceof Failure)) return error;
  const { message, fix } = error;
  const next = `Revision ${String(revision.number)} was not waited for: hopgate deploy, which waits, or hopgate rollback goes on from there.`;
  return new Failure(`${message}\n${next}`, { cause: error, ...(fix !== undefined && { fix }) });
}

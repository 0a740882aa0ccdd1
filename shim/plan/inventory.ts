import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import type { Change } from "./comparison.js";
import { currentRevision, type ExpectedHop, newestFirst, type Revision } from "./revision.js";
import { bridgeSurroundings } from "./bridge-surroundings.js";
import { canBeKept, copyOfBefore } from "./transition.js";

/** Everything of ours that may be in the cluster: of the current revision, and of those since that were not ended or undone. */
export function inventory(revisions: readonly Revision[]): readonly Resource[] {
  const current = currentRevision(revisions);
  const since = newestFirst(revisions).filter(
    ({ number, state }) => number >= (current?.number ?? 0) && state !== "failed",
  );
  const all = new Map<string, Resource>();
  const [newest = [], ...older] = since.map(({ resources }) => resources);
  // One that ended half way may have left what was kept of before.
  const copies = older.flat().filter(canBeKept).map(copyOfBefore);
  // The newest word about a resource stands, but what runs may still be of an older one, and need what that had.
  for (const resource of [...newest, ...older.flat(), ...copies]) {
    const newer = all.get(titleOf(resource));
    all.set(titleOf(resource), newer === undefined ? resource : bridgeSurroundings(resource, newer));
  }
  return [...all.values()];
}

/** The hops of the current revision. */
export function currentHops(revisions: readonly Revision[]): readonly ExpectedHop[] {
  return currentRevision(revisions)?.hops ?? [];
}

/** Titles of what was there before hopgate: known from earlier, or there now although no revision has it. */
export function adoptedBy(
  revisions: readonly Revision[],
  before: readonly Resource[],
  changes: readonly Change[],
): readonly string[] {
  const ours = new Set(before.map(titleOf));
  const found = changes.filter(({ live, resource }) => live !== undefined && !ours.has(titleOf(resource)));
  const foreign = found.filter(({ live }) => live !== undefined && meshNameOf(live) === undefined);
  // What is gone by now and made anew is ours.
  const gone = new Set(changes.filter(({ live }) => live === undefined).map(({ resource }) => titleOf(resource)));
  const earlier = (newestFirst(revisions)[0]?.adopted ?? []).filter((title) => !gone.has(title));
  return [...new Set([...earlier, ...foreign.map(({ resource }) => titleOf(resource))])].sort();
}

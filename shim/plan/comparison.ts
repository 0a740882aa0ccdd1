import { isDeepStrictEqual } from "node:util";

import type { Resource } from "../render/istio/resource.js";

/** What applying a resource would do. */
export interface Change {
  readonly resource: Resource;
  /** As it is; undefined: it is not there. */
  readonly live: Resource | undefined;
  /** As it would be, says the API server. */
  readonly applied: Resource;
}

/** Whether anything of it would be another than before. */
export function isChange({ live, applied }: Change): boolean {
  return live === undefined || !isDeepStrictEqual(withoutBookkeeping(live), withoutBookkeeping(applied));
}

/** What the API server writes itself. */
const BOOKKEEPING: ReadonlySet<string> = new Set([
  "creationTimestamp",
  "generation",
  "managedFields",
  "resourceVersion",
  "selfLink",
  "uid",
]);

/** A resource without what the API server writes for itself, to be compared and shown. */
export function withoutBookkeeping(resource: Resource): Resource {
  const { status: _status, metadata, ...rest } = resource;
  const kept = Object.entries(metadata).filter(([name]) => !BOOKKEEPING.has(name));
  return { ...rest, metadata: Object.fromEntries(kept) } as Resource;
}

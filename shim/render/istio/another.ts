import { meshNameOf } from "./labels.js";
import type { Resource } from "./resource.js";

/**
 * Whether a resource may be there already and be another's, so that only some fields of it are rendered: a Gateway of the Gateway API
 * with listeners of others, a waypoint, a Service that gets labels. It has no label of ours.
 */
export function isPartOfAnothers(resource: Resource): boolean {
  return meshNameOf(resource) === undefined;
}

/** Server-side apply adds fields to such a resource; anything else takes away all others that it has. */
export const SERVER_SIDE = "kubectl apply --server-side --field-manager=hopgate";

/** What its reader has to know; undefined: nothing. */
export function commentOn(resource: Resource): string | undefined {
  return isPartOfAnothers(resource) ? PART_COMMENT : undefined;
}

const PART_COMMENT = `A part of what may be there already: apply it with ${SERVER_SIDE}, which keeps the rest, and never delete it.`;

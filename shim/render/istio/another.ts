import type { Mesh } from "../../config/model.js";
import { fieldManagerOf, meshNameOf } from "./labels.js";
import type { Resource } from "./resource.js";

/**
 * Whether a resource may be there already and be another's, so that only some fields of it are rendered: a Gateway of the Gateway API
 * with listeners of others, a waypoint, a Service that gets labels. It has no label of ours.
 */
export function isPartOfAnothers(resource: Resource): boolean {
  return meshNameOf(resource) === undefined;
}

/** Server-side apply adds fields to such a resource; anything else takes away all others that it has. */
export function serverSide(mesh: Mesh): string {
  return `kubectl apply --server-side --field-manager=${fieldManagerOf(mesh)}`;
}

/** What the reader of a resource has to know; undefined: nothing. */
export function commentOn(mesh: Mesh): (resource: Resource) => string | undefined {
  const comment = `A part of what may be there already: apply it with ${serverSide(mesh)}, which keeps the rest, and never delete it.`;
  return (resource) => (isPartOfAnothers(resource) ? comment : undefined);
}

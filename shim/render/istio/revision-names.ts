import type { Mesh } from "../../config/model.js";
import { resourceName } from "./labels.js";

/** How many revisions of a mesh are kept in the cluster. */
const KEPT_REVISIONS = 10;

/** Where the revisions are kept: in the namespace of the first hop of the file. */
export function revisionNamespace(mesh: Mesh): string {
  const [hop] = mesh.hops.values();
  if (hop === undefined) throw new Error("a mesh without hops: the rules let it pass");
  return hop.namespace;
}

/** The Secret of a revision. There are ten, used in turn, so that a role can name them all. */
export function revisionName(mesh: Mesh, revision: number): string {
  return resourceName(mesh, "revision", String(revision % KEPT_REVISIONS));
}

export function revisionNames(mesh: Mesh): readonly string[] {
  return Array.from({ length: KEPT_REVISIONS }, (_, slot) => revisionName(mesh, slot));
}

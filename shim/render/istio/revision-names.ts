import type { Mesh } from "../../config/model.js";
import { resourceName } from "./labels.js";
import type { Resource } from "./resource.js";

/** How many revisions of a mesh are kept in the cluster. */
const KEPT_REVISIONS = 10;

/** Where the revisions are kept: where the file says, else in the namespace of its first hop. */
export function revisionNamespace(mesh: Mesh): string {
  if (mesh.revisionNamespace !== undefined) return mesh.revisionNamespace;
  const [hop] = mesh.hops.values();
  if (hop === undefined) throw new Error("a mesh without hops: the rules let it pass");
  return hop.namespace;
}

/** On plugins: where the revisions are that know them, so that a file which looks for them elsewhere is noticed. */
const ANNOTATION = "hopgate/revisions";

export function revisionsAnnotation(mesh: Mesh): Readonly<Record<string, string>> {
  return { [ANNOTATION]: revisionNamespace(mesh) };
}

/** undefined: it does not say. */
export function revisionNamespaceOf({ metadata }: Resource): string | undefined {
  return (metadata["annotations"] as Readonly<Record<string, string>> | undefined)?.[ANNOTATION];
}

/** The Secrets of the revisions: so many, whatever the numbers, so that a role can name them all. */
export function revisionNames(mesh: Mesh): readonly string[] {
  return Array.from({ length: KEPT_REVISIONS }, (_, place) => resourceName(mesh, "revision", String(place)));
}

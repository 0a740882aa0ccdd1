import type { Hop, Mesh } from "../../config/model.js";
import { UsageError } from "../../errors.js";
import type { Metadata, Resource } from "./resource.js";

/** The labels that tell whose a resource is (Kubernetes' recommended ones). */
const MESH_LABEL = "app.kubernetes.io/instance";
const HOP_LABEL = "app.kubernetes.io/component";
const MANAGED_BY_LABEL = "app.kubernetes.io/managed-by";

/** Our name in `app.kubernetes.io/managed-by`. */
const MANAGER = "hopgate";

/** The name of a mesh as a manager of fields: what two meshes want of one resource is a conflict of which both are told. */
export function fieldManagerOf(mesh: Mesh): string {
  return `${MANAGER}-${usable(mesh.name)}`;
}

/**
 * Name, namespace and labels of one of the mesh's resources. `parts` are put behind the mesh's name. A resource of one
 * hop says which; one that several need says none.
 */
export function metadataOf(mesh: Mesh, namespace: string, hop: Hop | undefined, ...parts: readonly string[]): Metadata {
  return { name: resourceName(mesh, ...parts), namespace, labels: labelsOf(mesh, hop) };
}

export function resourceName(mesh: Mesh, ...parts: readonly string[]): string {
  return [mesh.name, ...parts].map(usable).join("-");
}

export function labelsOf(mesh: Mesh, hop: Hop | undefined): Readonly<Record<string, string>> {
  return {
    [MANAGED_BY_LABEL]: MANAGER,
    [MESH_LABEL]: usable(mesh.name),
    ...(hop !== undefined && { [HOP_LABEL]: usable(hop.name) }),
  };
}

/** The mesh that made the resource; undefined if hopgate did not. */
export function meshNameOf({ metadata }: Resource): string | undefined {
  return meshOfLabels((metadata["labels"] ?? {}) as Readonly<Record<string, string>>);
}

/** Likewise, of a resource with these labels. */
export function meshOfLabels(labels: Readonly<Record<string, string>>): string | undefined {
  return labels[MANAGED_BY_LABEL] === MANAGER ? labels[MESH_LABEL] : undefined;
}

/** The hop that the resource is for; undefined: for several. */
export function hopNameOf({ metadata }: Resource): string | undefined {
  return (metadata["labels"] as Readonly<Record<string, string>> | undefined)?.[HOP_LABEL];
}

/** Kubernetes wants a letter or a digit at both ends of a name, hopgate.yaml does not. */
function usable(name: string): string {
  if (!name.startsWith("-") && !name.endsWith("-")) return name;
  throw new UsageError(
    `the name ${JSON.stringify(name)} cannot be a part of a name in Kubernetes`,
    'write one in hopgate.yaml that begins and ends with a letter or a digit, not with "-"',
  );
}

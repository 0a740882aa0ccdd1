import type { Mesh } from "../../config/model.js";
import { yamlText } from "../yaml.js";
import { commentOn, isPartOfAnothers } from "./another.js";
import type { Resource } from "./resource.js";
import type { MeshResources } from "./resources.js";

/** A file of a kustomization. `path` is relative, with slashes. */
export interface KustomizeFile {
  readonly path: string;
  readonly content: string;
}

/**
 * A base with what both kinds of hops need, and an overlay for each kind that the mesh has. Each overlay is whole: applied one
 * after the other, they are everything.
 */
export function kustomization(mesh: Mesh, { shared, hops }: MeshResources): readonly KustomizeFile[] {
  const comment = commentOn(mesh);
  const base = shared.length === 0 ? [] : directory("base", [], shared, comment);
  const overlays = (["gateway", "waypoint"] as const).flatMap((kind) => {
    const own = [...mesh.hops.values()].filter((hop) => hop.kind === kind).flatMap(({ name }) => hops.get(name) ?? []);
    return own.length === 0
      ? []
      : directory(`overlays/${kind}`, shared.length === 0 ? [] : ["../../base"], own, comment);
  });
  return [...base, ...overlays];
}

function directory(
  path: string,
  bases: readonly string[],
  resources: readonly Resource[],
  comment: ReturnType<typeof commentOn>,
): readonly KustomizeFile[] {
  const file = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: [...bases, "resources.yaml"],
  };
  return [
    { path: `${path}/kustomization.yaml`, content: yamlText([file]) },
    {
      path: `${path}/resources.yaml`,
      content: yamlText(resources.map(keptByArgo), comment),
    },
  ];
}

/** Argo CD replaces and prunes what it is given, unless the resource says otherwise (its Sync Options). */
function keptByArgo(resource: Resource): Resource {
  if (!isPartOfAnothers(resource)) return resource;
  const annotations = { "argocd.argoproj.io/sync-options": "ServerSideApply=true,Prune=false,Delete=false" };
  return { ...resource, metadata: { ...resource.metadata, annotations } };
}

import type { Resource } from "../render/istio/resource.js";
import { counted, namesOf } from "./resource-names.js";

/** What to say where plugins of the mesh are in a cluster, but no revision: `hopgate deploy` did not make them. */
export function strayText(plugins: readonly Resource[]): string {
  const [is, they] = plugins.length === 1 ? ["is", "it was"] : ["are", "they were"];
  return `${counted(plugins.length, "plugin")} of this mesh ${is} there, but ${they} not made by hopgate deploy: ${namesOf(plugins)}`;
}

export const STRAY_FIX =
  "Whoever applied them removes them (kubectl delete -k FOLDER, or the Argo CD application). If they were applied with " +
  "kubectl apply --server-side --field-manager=hopgate, hopgate deploy takes them over.";

import type { Mesh } from "../config/model.js";
import { Failure } from "../errors.js";
import { serverSide } from "../render/istio/another.js";
import { labelsOf } from "../render/istio/labels.js";
import type { Resource } from "../render/istio/resource.js";
import { revisionNamespace, revisionNamespaceOf } from "../render/istio/revision-names.js";
import { counted, namesOf } from "./resource-names.js";

/** What there is to say where plugins of the mesh are in a cluster, but no revision that has them. */
export interface StrayReport {
  readonly message: string;
  readonly fix: string;
}

/** undefined: there are none. */
export function strayReport(mesh: Mesh, plugins: readonly Resource[]): StrayReport | undefined {
  if (plugins.length === 0) return undefined;
  const are = plugins.length === 1 ? "is" : "are";
  const there = `${counted(plugins.length, "plugin")} of this mesh ${are} there`;
  const where = plugins.map(revisionNamespaceOf).find((name) => name !== undefined && name !== revisionNamespace(mesh));
  if (where !== undefined) {
    const message = `${there}, with revisions in ${where}; the file looks for them in ${revisionNamespace(mesh)}: ${namesOf(plugins)}`;
    return { message, fix: `Write revisionNamespace: ${where} in it.` };
  }
  const were = plugins.length === 1 ? "it was" : "they were";
  const selector = Object.entries(labelsOf(mesh, undefined)).map(([label, value]) => `${label}=${value}`);
  return {
    message: `${there}, but ${were} not made by hopgate deploy: ${namesOf(plugins)}`,
    fix:
      "Whoever applied them removes them: the Argo CD application, or kubectl delete of what has the labels " +
      `${selector.join(",")} (not kubectl delete -k or -f: your own Gateways are in those files too). ` +
      `Or, if they were applied with ${serverSide(mesh)}, hopgate deploy takes them over, and hopgate uninstall removes them then.`,
  };
}

/** As what keeps a command from going on. */
export function strayFailure(context: string, { message, fix }: StrayReport): Failure {
  return new Failure(`${context}: ${message}.`, { fix });
}

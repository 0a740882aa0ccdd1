import type { Mesh } from "../../../../shim/config/model.js";
import { parseMesh } from "../../../../shim/config/parse.js";
import { parsePinnedImage } from "../../../../shim/render/image.js";
import type { Resource } from "../../../../shim/render/istio/resource.js";
import { inOrder, meshResources } from "../../../../shim/render/istio/resources.js";

/** A hopgate.yaml, and what is rendered of it. */

export const IMAGE = `registry.example.com/hopgate/filter@sha256:${"ab".repeat(32)}`;

const PARTS = {
  backends: `
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 } }
  kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }
  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }`,
  routes: `
  - { hosts: [llm.example.internal, "*.llm.example.internal"], to: llm }
  - { hosts: [kb.example.internal], split: { kb: 10, llm: 90 }, open: a test }
  - { hosts: [reports.example.internal], to: reports, open: a test }`,
  hops: `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint } }`,
  more: "",
};

export function sample(parts: Partial<typeof PARTS> = {}): Mesh {
  return parseMesh(sampleText(parts), "hopgate.yaml");
}

export function sampleText(parts: Partial<typeof PARTS> = {}): string {
  const { backends, routes, hops, more } = { ...PARTS, ...parts };
  return `name: shop\nbackends: ${backends}\nroutes: ${routes}\nhops: ${hops}\n${more}`;
}

export function resourcesOf(mesh: Mesh, api: "wasmplugin" | "trafficextension" = "wasmplugin"): readonly Resource[] {
  return inOrder(meshResources(mesh, { image: parsePinnedImage(IMAGE), api }));
}

/** The one resource of that kind and name. */
export function resource(resources: readonly Resource[], kind: string, name: string, namespace?: string): Resource {
  const found = resources.filter(
    (one) =>
      one.kind === kind &&
      one.metadata.name === name &&
      (namespace ?? one.metadata.namespace) === one.metadata.namespace,
  );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new Error(
      `${String(found.length)} ${kind} ${name} among ${resources.map((one) => `${one.kind} ${one.metadata.name}`).join(", ")}`,
    );
  }
  return only;
}

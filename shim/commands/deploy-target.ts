import type { Mesh } from "../config/model.js";
import { loadMesh } from "../config/load.js";
import { Failure } from "../errors.js";
import { reportedLabels } from "../explain/filter.js";
import type { Target } from "../kubernetes/rollout.js";
import { stampOf } from "../module/stamp.js";
import { pullModule } from "../oci/push.js";
import type { ExpectedHop } from "../plan/revision.js";
import { pinnedText } from "../render/image.js";
import { podLabels } from "../render/istio/destination-rule.js";
import { inOrder, meshResources, type MeshResources } from "../render/istio/resources.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import { imageOf, type MeshOptions } from "./mesh-options.js";
import { askFilter } from "./preflight.js";
import type { Io } from "../output/io.js";

export interface TargetOptions extends MeshOptions {
  readonly plainHttp?: boolean | undefined;
}

/** What a hopgate.yaml shall be in a cluster, checked as far as that goes without one. */
export interface MeshTarget extends Target {
  readonly mesh: Mesh;
  readonly rendered: MeshResources;
}

/**
 * Reads the file, pulls the module that proxies would load, and asks that module whether it takes each hop's configuration.
 * @throws ConfigError, UsageError or Failure with what is wrong
 */
export async function loadTarget(options: TargetOptions, io: Io, signal: AbortSignal): Promise<MeshTarget> {
  const mesh = await loadMesh(options.config);
  const image = imageOf(mesh, options);
  const module = await pullModule(image, { env: io.env, signal, plainHttp: options.plainHttp === true });
  if (stampOf(module) === undefined) {
    const fix = "Push one that hopgate build made: hopgate push.";
    throw new Failure(`${pinnedText(image)} holds a module that hopgate did not build, or that was changed since.`, {
      fix,
    });
  }
  await askFilter(mesh, options.config, module);
  const rendered = meshResources(mesh, { image, api: options.api });
  const hops = await expectedHops(mesh, module);
  return { mesh, rendered, image: pinnedText(image), hops, resources: inOrder(rendered) };
}

/** What proxies report when they run the mesh's configurations in this module. @throws Failure if it is none that reports */
export async function expectedHops(mesh: Mesh, module: Uint8Array): Promise<readonly ExpectedHop[]> {
  const hops: ExpectedHop[] = [];
  for (const hop of mesh.hops.values()) {
    const labels = await reportedLabels(module, pluginConfigFor(mesh, hop.name));
    hops.push({ hop: hop.name, kind: hop.kind, namespace: hop.namespace, podLabels: podLabels(hop), ...labels });
  }
  return hops;
}

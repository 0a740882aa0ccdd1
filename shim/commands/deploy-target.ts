import type { Mesh } from "../config/model.js";
import { loadMesh } from "../config/load.js";
import type { Result } from "../doctor/check.js";
import { Failure } from "../errors.js";
import { reportedLabels } from "../explain/filter.js";
import type { Cluster } from "../kubernetes/cluster.js";
import { Discovery } from "../kubernetes/discovery.js";
import type { Target } from "../kubernetes/rollout.js";
import { stampOf } from "../module/stamp.js";
import type { ExpectedHop } from "../plan/revision.js";
import { type PinnedImage, pinnedText } from "../render/image.js";
import { podLabels } from "../render/istio/destination-rule.js";
import { wantsGcpBackend } from "../render/istio/gcp-backend.js";
import { pluginConfigOf, type PluginApi } from "../render/istio/plugin.js";
import { stageOf } from "../render/istio/resource.js";
import { inOrder, meshResources, type MeshResources, type RenderOptions } from "../render/istio/resources.js";
import { examineImage } from "./doctor-observe.js";
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
  readonly pinned: PinnedImage;
  /** What the checks of its image came to: none is an error that cannot be left out. */
  readonly imageResults: readonly Result[];
}

/**
 * Reads the file, pulls the module that proxies would load, and asks that module whether it takes each hop's configuration.
 * @throws ConfigError, UsageError or Failure with what is wrong
 */
export async function loadTarget(options: TargetOptions, io: Io, signal: AbortSignal): Promise<MeshTarget> {
  const mesh = await loadMesh(options.config);
  const image = imageOf(mesh, options);
  const { results: imageResults, module } = await examineImage(mesh, image, options.plainHttp === true, io, signal);
  if (module === undefined || stampOf(module) === undefined) throw unusable(imageResults);
  await askFilter(mesh, options.config, module);
  const rendered = meshResources(mesh, { image, api: options.api });
  const hops = await expectedHops(mesh, rendered, module);
  return { mesh, rendered, pinned: image, image: pinnedText(image), hops, resources: inOrder(rendered), imageResults };
}

/**
 * The target as it is for one cluster, which may have GCPBackend.
 * @throws UsageError where that cannot be filled in
 */
export async function targetIn(cluster: Cluster, target: MeshTarget, api: PluginApi): Promise<MeshTarget> {
  const rendered = await renderedIn(cluster, target.rendered, { image: target.pinned, api });
  return rendered === target.rendered ? target : { ...target, rendered, resources: inOrder(rendered) };
}

/** `rendered` is what is wanted without a cluster. */
export async function renderedIn(
  { mesh, objects }: Cluster,
  rendered: MeshResources,
  options: RenderOptions,
): Promise<MeshResources> {
  if (!wantsGcpBackend(mesh)) return rendered;
  const gcpBackend = await new Discovery(objects).gcpBackend();
  return gcpBackend === undefined ? rendered : meshResources(mesh, { ...options, gcpBackend });
}

/** What keeps an image from being used, by the codes of `doctor`. */
function unusable(results: readonly Result[]): Failure {
  const failed = results.filter(({ state, level }) => state === "failed" && level === "error");
  const lines = failed.flatMap(({ code, findings }) =>
    findings.map(({ about, reason }) => `${code} ${about}: ${reason}`),
  );
  const fixes = new Set(failed.flatMap(({ findings }) => findings.map(({ fix }) => fix)));
  return new Failure(`The filter's image cannot be used:\n${lines.join("\n")}`, { fix: [...fixes].join("\n") });
}

/** What proxies report when they run the mesh's configurations in this module. @throws Failure if it is none that reports */
export async function expectedHops(
  mesh: Mesh,
  rendered: MeshResources,
  module: Uint8Array,
): Promise<readonly ExpectedHop[]> {
  const hops: ExpectedHop[] = [];
  for (const hop of mesh.hops.values()) {
    const plugin = rendered.hops.get(hop.name)?.find((resource) => stageOf(resource) === "plugin");
    if (plugin === undefined) continue;
    const labels = await reportedLabels(module, pluginConfigOf(plugin));
    hops.push({ hop: hop.name, kind: hop.kind, namespace: hop.namespace, podLabels: podLabels(hop), ...labels });
  }
  return hops;
}

import type { Hop } from "../config/model.js";
import { podLabels } from "../render/istio/destination-rule.js";
import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import type { PluginConfig } from "../render/plugin-config.js";
import { type Finding, type Remark, whenRead } from "./check.js";
import type { ClusterSeen } from "./seen.js";

/** A WasmPlugin or TrafficExtension, as far as it matters here. */
export interface PluginView {
  readonly title: string;
  readonly namespace: string;
  /** The mesh that made it; undefined: hopgate did not. */
  readonly mesh: string | undefined;
  /** undefined: it is of another filter. */
  readonly config: PluginConfig | undefined;
  readonly matchLabels: Readonly<Record<string, string>> | undefined;
  readonly targets: readonly Target[];
  readonly phase: string | undefined;
  readonly failStrategy: string | undefined;
  readonly priority: number | undefined;
}

interface Target {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
}

interface Wasm {
  readonly pluginConfig?: unknown;
  readonly failStrategy?: string;
}

interface Spec extends Wasm {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetRef?: Target;
  readonly targetRefs?: readonly Target[];
  readonly phase?: string;
  readonly priority?: number;
  /** Of a TrafficExtension. */
  readonly wasm?: Wasm;
}

export function viewOf(resource: Resource): PluginView {
  const spec = (resource["spec"] ?? {}) as unknown as Spec;
  const { pluginConfig, failStrategy } = spec.wasm ?? spec;
  return {
    title: titleOf(resource),
    namespace: resource.metadata.namespace,
    mesh: meshNameOf(resource),
    config: isOurs(pluginConfig) ? pluginConfig : undefined,
    matchLabels: spec.selector?.matchLabels,
    targets: [...(spec.targetRef === undefined ? [] : [spec.targetRef]), ...(spec.targetRefs ?? [])],
    phase: spec.phase,
    failStrategy,
    priority: spec.priority,
  };
}

/** Whether it is a configuration of this filter, whoever wrote it. */
function isOurs(config: unknown): config is PluginConfig {
  const { hop, routes, backends } = (config ?? {}) as Partial<PluginConfig>;
  return typeof hop === "string" && Array.isArray(routes) && typeof backends === "object";
}

/** Judges each plugin that the file is rendered to by what is there of it. */
export function forLivePlugins(
  { resources, live }: ClusterSeen,
  judge: (rendered: Resource, found: Resource) => readonly Finding[],
): readonly Remark[] {
  return resources
    .filter((resource) => stageOf(resource) === "plugin")
    .flatMap((resource) => {
      const about = titleOf(resource);
      return whenRead(about, live.get(about), (found) => (found === undefined ? [] : judge(resource, found)));
    });
}

export function addsTokens({ config }: PluginView): boolean {
  return Object.values(config?.backends ?? {}).some(({ token }) => token !== undefined);
}

/** Whether Istio brings the plugin into the Pods of a hop. */
export function appliesTo(plugin: PluginView, hop: Hop): boolean {
  if (plugin.namespace !== hop.namespace) return false;
  if (plugin.targets.length > 0)
    return plugin.targets.some(({ kind, name }) => kind === "Gateway" && name === hop.gateway);
  if (hop.gateway !== undefined) return false;
  const labels = podLabels(hop);
  return Object.entries(plugin.matchLabels ?? {}).every(([label, value]) => labels[label] === value);
}

import { isDeepStrictEqual } from "node:util";

import { fingerprint } from "../render/fingerprint.js";
import { hopNameOf } from "../render/istio/labels.js";
import { pluginConfigOf, withPluginConfig } from "../render/istio/plugin.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import type { ExpectedHop } from "./revision.js";

/**
 * What a proxy reports tells which configuration it runs. Not where from: Envoy keeps what it ran until its last connections have
 * ended, so of the same configuration, deployed again within that time, it would report what is about to go. So each deployment
 * of a plugin puts a mark of its own into the configuration, in `plugin`, behind the fingerprint of the rest of the plugin.
 */
const MARK = /-[0-9a-z]+$/;

/** The plugins among `resources` as they are to be deployed: with the mark of `inPlace` where that says the same, else with a new one. */
export function marked(
  resources: readonly Resource[],
  inPlace: readonly Resource[],
  mark: string,
): readonly Resource[] {
  const known = new Map(inPlace.map((resource) => [titleOf(resource), resource]));
  return resources.map((resource) => {
    if (stageOf(resource) !== "plugin") return resource;
    const old = known.get(titleOf(resource));
    const isSame =
      old !== undefined && isDeepStrictEqual(withMark(old, undefined)["spec"], withMark(resource, undefined)["spec"]);
    return withMark(resource, isSame ? markOf(old) : mark);
  });
}

/** As they are rendered. */
export function withoutMarks(resources: readonly Resource[]): readonly Resource[] {
  return resources.map((resource) => (stageOf(resource) === "plugin" ? withMark(resource, undefined) : resource));
}

/** What proxies report when they run these plugins. */
export function expectedOf(hops: readonly ExpectedHop[], resources: readonly Resource[]): readonly ExpectedHop[] {
  return hops.map((hop) => {
    const config = reported(hop, resources);
    return config === undefined ? hop : { ...hop, config };
  });
}

/** Whether proxies report what is computed here: a module of another release may have a fingerprint of its own. */
export function isReported(hops: readonly ExpectedHop[], resources: readonly Resource[]): boolean {
  return hops.every((hop) => [undefined, hop.config].includes(reported(hop, resources)));
}

function reported({ hop }: ExpectedHop, resources: readonly Resource[]): string | undefined {
  const plugin = resources.find((resource) => stageOf(resource) === "plugin" && hopNameOf(resource) === hop);
  return plugin === undefined ? undefined : fingerprint(JSON.stringify(pluginConfigOf(plugin)));
}

function markOf(plugin: Resource): string | undefined {
  const { plugin: text = "" } = pluginConfigOf(plugin);
  return MARK.exec(text)?.[0].slice(1);
}

function withMark(plugin: Resource, mark: string | undefined): Resource {
  const config = pluginConfigOf(plugin);
  const { plugin: rest = "" } = config;
  const plain = rest.replace(MARK, "");
  return withPluginConfig(plugin, { ...config, plugin: mark === undefined ? plain : `${plain}-${mark}` });
}

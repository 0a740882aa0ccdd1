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

/** The plugins among `resources` as they are to be deployed: as in `inPlace` where that says the same, else marked anew. */
export function marked(
  resources: readonly Resource[],
  inPlace: readonly Resource[],
  mark: string,
): readonly Resource[] {
  const known = new Map(inPlace.map((resource) => [titleOf(resource), resource]));
  return resources.map((resource) => {
    if (stageOf(resource) !== "plugin") return resource;
    const [plain, old] = [withMark(resource, undefined), known.get(titleOf(resource))];
    const isSame = old !== undefined && isDeepStrictEqual(withMark(old, undefined), plain);
    return isSame ? old : withMark(plain, mark);
  });
}

/** What proxies report when they run these plugins. */
export function expectedOf(hops: readonly ExpectedHop[], resources: readonly Resource[]): readonly ExpectedHop[] {
  return hops.map((hop) => {
    const plugin = resources.find((resource) => stageOf(resource) === "plugin" && hopNameOf(resource) === hop.hop);
    return plugin === undefined ? hop : { ...hop, config: fingerprint(JSON.stringify(pluginConfigOf(plugin))) };
  });
}

function withMark(plugin: Resource, mark: string | undefined): Resource {
  const config = pluginConfigOf(plugin);
  const { plugin: rest = "" } = config;
  const plain = rest.replace(MARK, "");
  return withPluginConfig(plugin, { ...config, plugin: mark === undefined ? plain : `${plain}-${mark}` });
}

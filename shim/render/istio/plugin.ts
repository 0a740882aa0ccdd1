import type { Hop, Mesh } from "../../config/model.js";
import { type PinnedImage, pinnedText } from "../image.js";
import type { JsonObject } from "../envoy/json.js";
import { fingerprint } from "../fingerprint.js";
import type { PluginConfig } from "../plugin-config.js";
import { pluginConfigFor } from "../plugin-config-for.js";
import { podLabels } from "./destination-rule.js";
import { metadataOf } from "./labels.js";
import { gatewayRef, type Resource } from "./resource.js";
import { revisionsAnnotation } from "./revision-names.js";

/** Which resource brings the filter into a proxy. TrafficExtension supersedes WasmPlugin from Istio 1.30 on. */
export type PluginApi = "wasmplugin" | "trafficextension";

/**
 * The lowest there is: a plugin behind ours would see the token. Plugins without a priority have the same, and Istio
 * sorts those by age.
 */
const PRIORITY = -(2 ** 31);

/**
 * Brings the filter into the proxies of a hop. The phase is left out, which puts it just before the router: so Istio's own
 * policies see the caller's host and token, not ours.
 */
export function plugin(mesh: Mesh, hop: Hop, image: PinnedImage, api: PluginApi): Resource {
  const wasm: JsonObject = {
    url: `oci://${pinnedText(image)}`,
    // Of an image it is the digest that is compared.
    sha256: image.digest.slice("sha256:".length),
    imagePullPolicy: "IfNotPresent",
    ...(mesh.imagePullSecret !== undefined && { imagePullSecret: mesh.imagePullSecret }),
    // A trap must not take a worker out of service for good, and must not let requests past the filter.
    failStrategy: "FAIL_RELOAD",
  };
  const head = { ...proxiesOf(hop), priority: PRIORITY };
  const config = pluginConfigFor(mesh, hop.name);
  const pluginConfig: PluginConfig = { ...config, plugin: fingerprint(JSON.stringify({ api, ...head, ...wasm })) };
  return resourceOf(mesh, hop, api, head, { ...wasm, pluginConfig: pluginConfig as unknown as JsonObject });
}

function resourceOf(mesh: Mesh, hop: Hop, api: PluginApi, head: JsonObject, wasm: JsonObject): Resource {
  const metadata = { ...metadataOf(mesh, hop.namespace, hop, hop.name), annotations: revisionsAnnotation(mesh) };
  const apiVersion = "extensions.istio.io/v1alpha1";
  return api === "trafficextension"
    ? { apiVersion, kind: "TrafficExtension", metadata, spec: { ...head, wasm } }
    : { apiVersion, kind: "WasmPlugin", metadata, spec: { ...head, ...wasm } };
}

interface PluginSpec {
  readonly pluginConfig?: PluginConfig;
  readonly wasm?: PluginSpec;
}

/** What the filter is told by a WasmPlugin or a TrafficExtension of ours. */
export function pluginConfigOf({ spec }: Resource): PluginConfig {
  const { wasm, pluginConfig } = spec as unknown as PluginSpec;
  return (wasm?.pluginConfig ?? pluginConfig) as PluginConfig;
}

/** The same plugin, with another word to the filter. */
export function withPluginConfig(resource: Resource, pluginConfig: PluginConfig): Resource {
  const spec = resource["spec"] as PluginSpec;
  const changed =
    spec.wasm === undefined ? { ...spec, pluginConfig } : { ...spec, wasm: { ...spec.wasm, pluginConfig } };
  return { ...resource, spec: changed } as unknown as Resource;
}

/** A selector does nothing on waypoints and on gateways of the Gateway API. */
function proxiesOf(hop: Hop): JsonObject {
  if (hop.gateway !== undefined) return { targetRefs: [gatewayRef(hop.gateway)] };
  return { selector: { matchLabels: podLabels(hop) } };
}

import { createTwoFilesPatch } from "diff";

import { type Resource, titleOf } from "../render/istio/resource.js";
import type { Json, JsonObject } from "../render/envoy/json.js";
import { yamlText } from "../render/yaml.js";
import { type Change, isChange, withoutBookkeeping } from "./comparison.js";

/** The unified diff of what applying would change and of what would be removed; empty: nothing. */
export function unifiedDiff(changes: readonly Change[], removed: readonly Resource[]): string {
  return [
    ...changes.filter(isChange).map(({ resource, live, applied }) => patch(titleOf(resource), live, applied)),
    ...removed.map((resource) => patch(titleOf(resource), resource, undefined)),
  ].join("");
}

function patch(title: string, before: Resource | undefined, after: Resource | undefined): string {
  const [old, fresh] = [secretOf(before), secretOf(after)];
  const isNewSecret = old !== undefined && fresh !== undefined && old !== fresh;
  const text = (resource: Resource | undefined, word: string): string =>
    resource === undefined
      ? ""
      : yamlText([masked(withoutBookkeeping(resource), isNewSecret ? `*** (${word})` : "***")]);
  return createTwoFilesPatch(
    before === undefined ? "/dev/null" : `live/${title}`,
    after === undefined ? "/dev/null" : `deployed/${title}`,
    text(before, "before"),
    text(after, "after"),
    undefined,
    undefined,
    { context: 3 },
  ).replace(/^=+\n/, "");
}

/** `timing.key` of a plugin's configuration shows callers the inside of the mesh. */
function secretOf(resource: Resource | undefined): string | undefined {
  const config = configOf(resource?.["spec"]);
  const timing = config?.["timing"];
  return isObject(timing) && typeof timing["key"] === "string" ? timing["key"] : undefined;
}

function configOf(spec: Json | undefined): JsonObject | undefined {
  if (!isObject(spec)) return undefined;
  const place = isObject(spec["wasm"]) ? spec["wasm"] : spec;
  return isObject(place["pluginConfig"]) ? place["pluginConfig"] : undefined;
}

function masked(resource: Resource, mask: string): Resource {
  if (secretOf(resource) === undefined) return resource;
  const copy = structuredClone(resource) as unknown as { spec: Spec & { wasm?: Spec } };
  const timing = (copy.spec.wasm ?? copy.spec).pluginConfig.timing;
  timing.key = mask;
  return copy as unknown as Resource;
}

interface Spec {
  readonly pluginConfig: { readonly timing: { key: string } };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && !Array.isArray(value);
}

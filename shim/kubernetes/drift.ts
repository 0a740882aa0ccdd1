import type { Change } from "../plan/comparison.js";
import { type Resource, stageOf } from "../render/istio/resource.js";
import { ApiError, each, type Objects } from "./objects.js";

/**
 * What applying what was deployed again would change; a field that another manager has taken over is a change. Of a plugin also a
 * field that somebody added: nothing but hopgate has to write there. Changes nothing.
 * @throws ApiError if it may not be asked
 */
export async function driftOf(resources: readonly Resource[], objects: Objects): Promise<readonly Change[]> {
  return each(resources, async (resource) => {
    const live = await objects.get(resource);
    if (live !== undefined && stageOf(resource) === "plugin")
      return { resource, live, applied: { ...live, spec: resource["spec"] ?? {}, metadata: withOwn(live, resource) } };
    try {
      return { resource, live, applied: await objects.apply(resource, { dryRun: true }) };
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return { resource, live, applied: resource };
      // Its kind is gone, or its namespace.
      if (error instanceof ApiError && error.status === 404) return { resource, live: undefined, applied: resource };
      throw error;
    }
  });
}

/** The live metadata with what we put there: without our labels, a plugin would be taken for another's. */
function withOwn({ metadata: live }: Resource, { metadata: own }: Resource): Resource["metadata"] {
  const both = (name: string): object => ({
    ...(live[name] as object | undefined),
    ...(own[name] as object | undefined),
  });
  return { ...live, labels: both("labels"), annotations: both("annotations") } as Resource["metadata"];
}

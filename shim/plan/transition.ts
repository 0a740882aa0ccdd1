import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";

/**
 * From what is in a cluster to what shall be, so that no request is lost: routes for what the filter chooses now and for what it
 * will choose are there while it changes.
 */
export interface Transition {
  /** Applied first: what routes lead to, the routes, and those of before that the running filter still needs. */
  readonly first: readonly Resource[];
  /** Applied when proxies have those. */
  readonly plugins: readonly Resource[];
  /** Removed before the rest: plugins of hops that are no more, which would else send requests to routes that are gone. */
  readonly removedPlugins: readonly Resource[];
  /** Removed when the proxies run the new configuration, in this order. */
  readonly last: readonly Resource[];
}

/** `before`: everything of ours that is in the cluster, of half-done deployments too. */
export function transition(before: readonly Resource[], after: readonly Resource[]): Transition {
  const wanted = new Map(after.map((resource) => [titleOf(resource), resource]));
  const bridges = before.flatMap((old) => {
    const next = wanted.get(titleOf(old));
    return next !== undefined && stageOf(old) === "routes" && losesHosts(old, next) ? [bridgeOf(old)] : [];
  });
  const gone = before.filter((resource) => !wanted.has(titleOf(resource)));
  const of = (list: readonly Resource[], stage: ReturnType<typeof stageOf>): readonly Resource[] =>
    list.filter((resource) => stageOf(resource) === stage);
  return {
    first: [...of(after, "surroundings"), ...of(after, "routes"), ...bridges],
    plugins: of(after, "plugin"),
    removedPlugins: of(gone, "plugin"),
    last: [...bridges, ...of(gone, "routes"), ...of(gone, "surroundings")],
  };
}

const BRIDGE = "-before";

/** What a route was, beside what it is now. */
function bridgeOf(route: Resource): Resource {
  const { metadata } = route;
  return { ...route, metadata: { ...metadata, name: `${metadata.name}${BRIDGE}` } };
}

/** Whether a host of `old` is not one of `next`: then the running filter would choose a route that has gone. */
function losesHosts(old: Resource, next: Resource): boolean {
  const hosts = new Set(hostsOf(next));
  return hostsOf(old).some((host) => !hosts.has(host));
}

function hostsOf({ spec }: Resource): readonly string[] {
  const { hosts, hostnames } = spec as { readonly hosts?: readonly string[]; readonly hostnames?: readonly string[] };
  return hosts ?? hostnames ?? [];
}

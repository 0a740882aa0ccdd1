import { isDeepStrictEqual } from "node:util";

import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { bridgePlugin } from "./bridge-plugin.js";

/**
 * From what is in a cluster to what shall be, so that no request is lost: whatever a filter chooses, now and then, has a route that
 * leads somewhere, through hops that know it. In the order of the fields; proxies have each before the next is applied.
 */
export interface Transition {
  /** What routes lead to, routes that nothing uses yet, and those of before that the running filter still needs. */
  readonly first: readonly Resource[];
  /** Plugins that serve while routes move (see `bridgePlugin`). */
  readonly bridgePlugins: readonly Resource[];
  /** Routes that there were, as they shall be. */
  readonly movedRoutes: readonly Resource[];
  readonly plugins: readonly Resource[];
  /** Removed when the proxies run the new plugins, before the rest: these would else send requests to routes that are gone. */
  readonly removedPlugins: readonly Resource[];
  /** Removed then, in this order. */
  readonly last: readonly Resource[];
}

/** `before`: everything of ours that is in the cluster, of half-done deployments too. */
export function transition(before: readonly Resource[], after: readonly Resource[]): Transition {
  const [there, wanted] = [byTitle(before), byTitle(after)];
  const bridges = before.flatMap((old) => {
    const next = wanted.get(titleOf(old));
    return next !== undefined && stageOf(old) === "routes" && losesHosts(old, next) ? [bridgeRoute(old)] : [];
  });
  const gone = before.filter((resource) => !wanted.has(titleOf(resource)));
  const of = (list: readonly Resource[], stage: ReturnType<typeof stageOf>): readonly Resource[] =>
    list.filter((resource) => stageOf(resource) === stage);
  const routes = of(after, "routes");
  const isMoved = (route: Resource): boolean => {
    const old = there.get(titleOf(route));
    return old !== undefined && !isDeepStrictEqual(old, route);
  };
  const bridgePlugins = of(after, "plugin").flatMap((plugin) => {
    const old = there.get(titleOf(plugin));
    return (old === undefined ? undefined : bridgePlugin(old, plugin)) ?? [];
  });
  return {
    first: [...of(after, "surroundings"), ...routes.filter((route) => !isMoved(route)), ...bridges],
    bridgePlugins,
    movedRoutes: routes.filter(isMoved),
    plugins: of(after, "plugin"),
    removedPlugins: of(gone, "plugin"),
    last: [...bridges, ...of(gone, "routes"), ...of(gone, "surroundings")],
  };
}

function byTitle(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map((resource) => [titleOf(resource), resource]));
}

const BRIDGE = "-before";

/** What a route was, beside what it is now. */
export function bridgeRoute(route: Resource): Resource {
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

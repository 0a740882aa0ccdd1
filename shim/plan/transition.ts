import { isDeepStrictEqual } from "node:util";

import { fingerprint } from "../render/fingerprint.js";
import { type Resource, stageOf, titleOf } from "../render/istio/resource.js";
import { bridgePlugin } from "./bridge-plugin.js";
import { bridgeSurroundings } from "./bridge-surroundings.js";

/**
 * From what is in a cluster to what shall be, so that no request is lost: whatever a filter chooses, now and then, has a route that
 * leads somewhere, through hops that know it. In the order of the fields; proxies have each before the next is applied.
 */
export interface Transition {
  /** What the running filter still needs of what is about to change, under other names. */
  readonly kept: readonly Resource[];
  /** What routes lead to (where the running filter needs it otherwise: see `bridgeSurroundings`), and routes that nothing uses yet. */
  readonly first: readonly Resource[];
  /** Plugins that serve while routes move (see `bridgePlugin`). */
  readonly bridgePlugins: readonly Resource[];
  /** Routes that there were, as they shall be. */
  readonly movedRoutes: readonly Resource[];
  readonly plugins: readonly Resource[];
  /** What was otherwise in `first`, as it shall be: when the proxies run the new plugins. */
  readonly lateSurroundings: readonly Resource[];
  /** Removed then, before the rest: these would else send requests to routes that are gone. */
  readonly removedPlugins: readonly Resource[];
  /** Removed then, in this order. */
  readonly last: readonly Resource[];
}

/** `before`: everything of ours that is in the cluster, of half-done deployments too. */
export function transition(before: readonly Resource[], after: readonly Resource[]): Transition {
  const [there, wanted] = [byTitle(before), byTitle(after)];
  const kept = before.flatMap((old) => {
    const next = wanted.get(titleOf(old));
    return next !== undefined && canBeKept(old) && losesHosts(old, next) ? [copyOfBefore(old)] : [];
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
  const surroundings = of(after, "surroundings");
  const between = surroundings.map((next) => {
    const old = there.get(titleOf(next));
    return old === undefined ? next : bridgeSurroundings(old, next);
  });
  return {
    kept,
    first: [...between, ...routes.filter((route) => !isMoved(route))],
    bridgePlugins,
    movedRoutes: routes.filter(isMoved),
    plugins: of(after, "plugin"),
    lateSurroundings: surroundings.filter((next, index) => between[index] !== next),
    removedPlugins: of(gone, "plugin"),
    last: [...kept, ...of(gone, "routes"), ...of(gone, "surroundings")],
  };
}

function byTitle(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map((resource) => [titleOf(resource), resource]));
}

/**
 * Whether it may stay as it was under another name, beside what takes its place: routes, and what makes a host outside the mesh known
 * and speaks TLS to it. Not a host that is bound to a waypoint: what says there who may call names it by the name that it has.
 */
export function canBeKept(resource: Resource): boolean {
  if (stageOf(resource) === "routes" || resource.kind === "DestinationRule") return true;
  const labels = resource.metadata["labels"] as Readonly<Record<string, string>> | undefined;
  return resource.kind === "ServiceEntry" && labels?.["istio.io/use-waypoint"] === undefined;
}

const BEFORE = "-before";

/** What a resource was, beside what it is now. Each that it was has a name of its own, so that none takes the place of another that is in use. */
export function copyOfBefore(resource: Resource): Resource {
  const { metadata, spec = {} } = resource;
  const name = `${metadata.name}${BEFORE}-${fingerprint(JSON.stringify(spec))}`;
  return { ...resource, metadata: { ...metadata, name } };
}

/** Whether a host of `old` is not one of `next`: then what the running filter chooses would lead nowhere, or there without TLS. */
function losesHosts(old: Resource, next: Resource): boolean {
  const hosts = new Set(hostsOf(next));
  return hostsOf(old).some((host) => !hosts.has(host));
}

/** Of a VirtualService or ServiceEntry, an HTTPRoute, a DestinationRule. */
function hostsOf({ spec }: Resource): readonly string[] {
  const { hosts, hostnames, host } = spec as {
    readonly hosts?: readonly string[];
    readonly hostnames?: readonly string[];
    readonly host?: string;
  };
  return hosts ?? hostnames ?? (host === undefined ? [] : [host]);
}

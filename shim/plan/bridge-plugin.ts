import type { PluginBackend, PluginConfig, PluginRoute } from "../render/plugin-config.js";
import { pluginConfigOf, withPluginConfig } from "../render/istio/plugin.js";
import type { Resource } from "../render/istio/resource.js";

/**
 * The plugin for the time in which routes move. A backend that comes to a waypoint, or leaves it, is reached by one way until its
 * route has moved and by the other from then on: meanwhile each hop on either way has to know the backend, and has to add the
 * token if it does so before or after. For that moment two hops may add one; Cloud Run takes that of the last.
 * undefined: what runs does for both.
 */
export function bridgePlugin(before: Resource, after: Resource): Resource | undefined {
  const [old, next] = [pluginConfigOf(before), pluginConfigOf(after)];
  const bridge = bridgeOf(old, next);
  return bridge === undefined ? undefined : withPluginConfig(before, bridge);
}

function bridgeOf(old: PluginConfig, next: PluginConfig): PluginConfig | undefined {
  const comesHere = Object.entries(next.backends).filter(
    ([name, { token }]) => token !== undefined && name in old.backends && old.backends[name]?.token === undefined,
  );
  const known = new Set(old.routes.flatMap(({ hosts }) => hosts));
  const bound =
    old.match === "service" ? next.routes.filter(({ hosts }) => !hosts.some((host) => known.has(host))) : [];
  if (comesHere.length === 0 && bound.length === 0) return undefined;
  const backends: Record<string, PluginBackend> = {
    ...next.backends,
    ...old.backends,
    ...Object.fromEntries(comesHere),
  };
  const routes = [
    ...old.routes.map((route) => guarded(route, next, new Set(comesHere.map(([name]) => name)))),
    // What comes to be bound here is checked as it will be, from its first request on.
    ...bound.map((route) =>
      next.validate === undefined ? route : { ...route, validate: route.validate ?? next.validate },
    ),
  ];
  const named = new Set(routes.flatMap(({ to }) => to.map(({ backend }) => backend)));
  const validators = { ...old.validators, ...next.validators };
  const identity = old.identity ?? next.identity;
  return {
    ...old,
    routes,
    backends: Object.fromEntries(Object.entries(backends).filter(([name]) => named.has(name))),
    ...(Object.keys(validators).length > 0 && { validators }),
    ...(identity !== undefined && { identity }),
  };
}

/** A route that comes to add a token says who may call, as it will: also where another hop saw to that before. */
function guarded(route: PluginRoute, next: PluginConfig, comesHere: ReadonlySet<string>): PluginRoute {
  const leadsThere = route.to.some(({ backend }) => comesHere.has(backend));
  if (!leadsThere || route.validate !== undefined) return route;
  const later = next.routes.find(
    ({ to, validate, open }) => to.some(({ backend }) => comesHere.has(backend)) && (validate ?? open) !== undefined,
  );
  const validate = later?.validate ?? next.validate;
  const { open = later?.open, ...rest } = route;
  if (validate !== undefined) return { ...rest, validate };
  return open === undefined ? rest : { ...rest, open };
}

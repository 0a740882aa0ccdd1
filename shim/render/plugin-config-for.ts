import { UsageError } from "../errors.js";
import type { Backend, Hop, Identity, Mesh, Route, Validator } from "../config/model.js";
import { IAM_CREDENTIALS_SERVICE, METADATA_SERVICE, outboundCluster, serviceOf } from "./envoy/names.js";
import { ingressServiceOf } from "./istio/ingress-service.js";
import type { PluginBackend, PluginConfig, PluginIdentity, PluginRoute, PluginValidator } from "./plugin-config.js";

/**
 * What the filter of one hop is told. A gateway gets all routes; a waypoint gets, for each service bound to it, a
 * route from that service to its backend. A backend has a `token` only on the hop that adds it. Fields that have
 * their default are left out, and the same mesh gives the same bytes.
 *
 * Throws UsageError if the mesh has no hop of that name.
 */
export function pluginConfigFor(mesh: Mesh, hopName: string): PluginConfig {
  const hop = mesh.hops.get(hopName);
  if (hop === undefined) {
    throw new UsageError(
      `there is no hop ${JSON.stringify(hopName)}`,
      `name one of ${[...mesh.hops.keys()].join(", ")}`,
    );
  }
  const routes =
    hop.kind === "gateway"
      ? mesh.routes.map(gatewayRoute)
      : boundTo(mesh, hop).map((backend) => waypointRoute(mesh, backend));
  const backends = backendsOf(mesh, hop, routes);
  const validators = validatorsOf(mesh, hop, routes);
  const hasToken = Object.values(backends).some(({ token }) => token !== undefined);
  return {
    hop: hop.name,
    ...(hop.edge && { edge: true }),
    ...(hop.kind === "waypoint" && { match: "service" }),
    ...(hop.unmatched !== "pass" && { unmatched: hop.unmatched }),
    ...(hop.validate !== undefined && { validate: hop.validate }),
    routes,
    backends,
    ...(hasToken && { identity: identityOf(mesh.identity) }),
    ...(Object.keys(validators).length > 0 && { validators }),
    ...(hop.bypass.length > 0 && {
      bypass: hop.bypass.map(({ path, hosts }) => ({ path, ...(hosts.length > 0 && { hosts: [...hosts] }) })),
    }),
    ...timingOf(mesh, hop),
  };
}

function gatewayRoute({ hosts, arms, sticky, validate, open }: Route): PluginRoute {
  return {
    hosts: [...hosts],
    to: arms.map(({ backend, weight }) => ({ backend, weight })),
    ...(sticky !== undefined && { sticky }),
    ...(validate !== undefined && { validate }),
    ...(open !== undefined && { open }),
  };
}

function boundTo(mesh: Mesh, waypoint: Hop): Backend[] {
  return [...mesh.backends.values()]
    .filter(({ through }) => through === waypoint.name)
    .sort((a, b) => compare(a.name, b.name));
}

/** The names by which proxies know the service that is bound to the waypoint: its own, and that which gateways use. */
function waypointRoute(mesh: Mesh, backend: Backend): PluginRoute {
  const services = [serviceOf(backend), ingressServiceOf(mesh, backend)].filter((service) => service !== undefined);
  return { hosts: services.map(({ host }) => host), to: [{ backend: backend.name, weight: 100 }] };
}

/** The backends that the routes name, in the order of their names. */
function backendsOf(mesh: Mesh, hop: Hop, routes: readonly PluginRoute[]): Record<string, PluginBackend> {
  const names = new Set(routes.flatMap(({ to }) => to.map(({ backend }) => backend)));
  return Object.fromEntries(
    [...mesh.backends.values()]
      .filter(({ name }) => names.has(name))
      .sort((a, b) => compare(a.name, b.name))
      .map((backend) => [backend.name, backendOf(hop, backend)]),
  );
}

function backendOf(hop: Hop, backend: Backend): PluginBackend {
  const isBehindAnother = backend.through !== undefined && backend.through !== hop.name;
  if (isBehindAnother) return { through: backend.through };
  return backend.kind === "cloudRun" ? { token: { audience: backend.audience } } : {};
}

/** With mode `off` the filter still has to know which backends get a token, though it is the mesh that adds it. */
function identityOf({ mode, serviceAccount, timeoutMs, refreshBeforeSec, maxWaiters }: Identity): PluginIdentity {
  if (mode === "off") return { mode };
  return {
    mode,
    cluster: outboundCluster(METADATA_SERVICE),
    ...unlike(
      { timeoutMs: 2000, refreshBeforeSec: 240, maxWaiters: 1000 },
      { timeoutMs, refreshBeforeSec, maxWaiters },
    ),
    ...(serviceAccount !== undefined && {
      impersonate: {
        serviceAccount,
        cluster: outboundCluster(IAM_CREDENTIALS_SERVICE),
        authority: IAM_CREDENTIALS_SERVICE.host,
      },
    }),
  };
}

/** The validators that the hop or its routes name, in the order of their names. */
function validatorsOf(mesh: Mesh, hop: Hop, routes: readonly PluginRoute[]): Record<string, PluginValidator> {
  const names = new Set([hop, ...routes].flatMap(({ validate }) => (validate === undefined ? [] : [validate])));
  return Object.fromEntries(
    [...mesh.validators.values()]
      .filter(({ name }) => names.has(name))
      .sort((a, b) => compare(a.name, b.name))
      .map((validator) => [validator.name, validatorOf(validator)]),
  );
}

function validatorOf(validator: Validator): PluginValidator {
  const { issuers, audiences, emails, header, algorithm, clockSkewSec, maxLifetimeSec, forward } = validator;
  const { host, path, cacheSec, maxStaleSec, cooldownSec, timeoutMs } = validator.jwks;
  return {
    issuers: [...issuers],
    audiences: [...audiences],
    emails: [...emails],
    ...(header !== undefined && { header }),
    ...unlike(
      { algorithm: "RS256", clockSkewSec: 60, maxLifetimeSec: 3660, forward: true },
      { algorithm, clockSkewSec, maxLifetimeSec, forward },
    ),
    jwks: {
      cluster: outboundCluster({ host, port: 443 }),
      authority: host,
      path,
      ...unlike(
        { cacheSec: 600, maxStaleSec: 3600, cooldownSec: 30, timeoutMs: 2000 },
        { cacheSec, maxStaleSec, cooldownSec, timeoutMs },
      ),
    },
  };
}

/** The fields in which `values` is unlike the filter's defaults. */
function unlike<T extends object>(defaults: { readonly [K in keyof T]: unknown }, values: T): Partial<T> {
  const keys = Object.keys(values) as (keyof T)[];
  return Object.fromEntries(
    keys.filter((key) => values[key] !== defaults[key]).map((key) => [key, values[key]]),
  ) as Partial<T>;
}

/** Server-Timing is the affair of the hop that callers meet first: a waypoint behind a gateway reports to the gateway. */
function timingOf({ hops, timing }: Mesh, hop: Hop): Pick<PluginConfig, "timing"> {
  const isInner = !hop.edge && hop.kind === "waypoint" && [...hops.values()].some(({ kind }) => kind === "gateway");
  if (isInner || timing.expose === "never") return {};
  if (timing.expose === "always" || timing.key === undefined) return { timing: { expose: timing.expose } };
  return { timing: { expose: "trace", key: timing.key } };
}

/** By code units, so that the order does not depend on the locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

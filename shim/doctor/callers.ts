import type { WaypointHop } from "../config/model.js";
import { boundBackends, neighbourhood, refusingWaypoints } from "../render/istio/backends.js";
import { meshNameOf, meshOfLabels } from "../render/istio/labels.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import type { PluginConfig } from "../render/plugin-config.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import { viewOf } from "./plugin-view.js";
import type { ClusterSeen, NamespaceSeen } from "./seen.js";

/** Who may use the identity of a waypoint. */
export const CALLER_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0601",
    level: "error",
    title: "a waypoint that adds tokens lets in known callers only",
    why: "Whoever reaches the service in the mesh calls it with the waypoint's identity.",
    after: true,
    find: (seen) =>
      (seen.deployed?.resources ?? [])
        .map(viewOf)
        .filter(({ config }) => config !== undefined && isOpenWaypoint(config))
        .flatMap(({ config, namespace }) => unguarded(seen, namespace, config?.hop ?? "")),
  },
  {
    code: "HG0602",
    level: "error",
    title: "no other ServiceEntry has a host that goes through a waypoint",
    why: "Of two for one host Istio takes the older, and with it neither our AuthorizationPolicy nor our label: the waypoint is passed by, or adds its token for whoever asks.",
    find: ({ mesh, resources, serviceEntries }) =>
      whenRead("ServiceEntries", serviceEntries, ({ found: entries, elsewhere }) => {
        const bound = new Set(
          resources.filter((resource) => resource.kind === "ServiceEntry" && isBound(resource)).flatMap(hostsOf),
        );
        // Our own of before go when the deployment ends.
        const taken = entries
          .filter((entry) => meshNameOf(entry) !== mesh.name)
          .flatMap((entry) =>
            hostsOf(entry)
              .filter((host) => bound.has(host))
              .map((host) => ({
                about: titleOf(entry),
                reason: `it has the host ${host} too`,
                fix: "remove the host from it: whoever needs it there gets to it through the waypoint",
              })),
          );
        return bound.size === 0 || elsewhere === undefined ? taken : [...taken, elsewhere];
      }),
  },
  {
    code: "HG0603",
    level: "error",
    title: "a waypoint that refuses requests has no services that the file does not name",
    why: "The filter is for everything that goes through the waypoint: requests to those services are refused too.",
    find: (seen) => refusingWaypoints(seen.mesh).flatMap((hop) => unnamed(seen, hop)),
  },
];

function unnamed({ mesh, neighbours }: ClusterSeen, hop: WaypointHop): readonly Remark[] {
  const named = new Set(
    boundBackends(mesh, hop).flatMap((one) => (one.kind === "kubernetes" ? [`${one.namespace}/${one.service}`] : [])),
  );
  return neighbourhood(mesh, hop).flatMap((namespace) =>
    whenRead(`Services of ${namespace}`, neighbours.get(namespace), (seen) =>
      seen.services
        .filter(({ name, labels }) => !named.has(`${namespace}/${name}`) && !isManaged(labels, mesh.name))
        .filter(({ labels }) => isBoundTo(hop, namespace, labels, seen))
        .map(({ name }) => ({
          about: `Service ${namespace}/${name}`,
          reason: `it goes through the waypoint of hop ${hop.name}, and is no backend with through: ${hop.name}`,
          fix: `name it as a backend with through: ${hop.name}, or label it ${USE_WAYPOINT}=none or with another waypoint`,
        })),
    ),
  );
}

const USE_WAYPOINT = "istio.io/use-waypoint";
const USE_WAYPOINT_NAMESPACE = "istio.io/use-waypoint-namespace";

/** A label of the Service goes before one of its namespace. */
function isBoundTo(
  hop: WaypointHop,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  { labels: ofNamespace }: NamespaceSeen,
): boolean {
  const by = labels[USE_WAYPOINT] === undefined ? ofNamespace : labels;
  return by[USE_WAYPOINT] === hop.gateway && (by[USE_WAYPOINT_NAMESPACE] ?? namespace) === hop.namespace;
}

/** Made by us, or by Istio for a gateway or a waypoint: those go through none. */
function isManaged(labels: Readonly<Record<string, string>>, mesh: string): boolean {
  return labels["gateway.istio.io/managed"] !== undefined || meshOfLabels(labels) === mesh;
}

/** Goes through a waypoint. */
function isBound({ metadata }: Resource): boolean {
  return USE_WAYPOINT in ((metadata["labels"] ?? {}) as object);
}

function hostsOf({ spec }: Resource): readonly string[] {
  return (spec as { readonly hosts?: readonly string[] }).hosts ?? [];
}

/** Adds tokens, and checks no caller's. */
function isOpenWaypoint({ match, validate, backends }: PluginConfig): boolean {
  const hasTokens = Object.values(backends).some(({ token }) => token !== undefined);
  return match === "service" && validate === undefined && hasTokens;
}

function unguarded({ deployed, live }: ClusterSeen, namespace: string, hop: string): readonly Remark[] {
  const policies = (deployed?.resources ?? []).filter(
    ({ kind, metadata }) => kind === "AuthorizationPolicy" && metadata.namespace === namespace,
  );
  const fix = "run hopgate deploy again, or write validate: for the hop";
  if (policies.length === 0)
    return [{ about: `hop ${hop}`, reason: "it has neither an AuthorizationPolicy nor a validator", fix }];
  return policies.flatMap((policy) => {
    const about = titleOf(policy);
    return whenRead(about, live.get(about), (found): readonly Finding[] => {
      const reason = found === undefined ? "it is gone" : opennessOf(found);
      return reason === undefined ? [] : [{ about, reason, fix }];
    });
  });
}

interface PolicySpec {
  readonly action?: string;
  readonly rules?: readonly { readonly from?: readonly unknown[] }[];
}

/** Why it lets in everybody; undefined: it does not. */
function opennessOf(policy: Resource): string | undefined {
  const { action = "ALLOW", rules = [] } = (policy["spec"] ?? {}) as unknown as PolicySpec;
  if (action !== "ALLOW") return `its action is ${action}: who is not named is let in`;
  return rules.some(({ from = [] }) => from.length === 0) ? "a rule of it names no callers" : undefined;
}

import type { WaypointHop } from "../config/model.js";
import { boundBackends, neighbourhood, refusingWaypoints } from "../render/istio/backends.js";
import { meshNameOf, meshOfLabels } from "../render/istio/labels.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import type { PluginConfig } from "../render/plugin-config.js";
import { type Check, type Finding, type Remark, valueOf, whenRead } from "./check.js";
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
  {
    code: "HG0604",
    level: "error",
    title: "waypoints are for services",
    why: "Otherwise Istio sends requests for services past the waypoint: nobody checks them, and no token is added.",
    find: forOthers,
  },
];

function unnamed(seen: ClusterSeen, hop: WaypointHop): readonly Remark[] {
  const { mesh, neighbours } = seen;
  const named = new Set(
    boundBackends(mesh, hop).flatMap((one) => (one.kind === "kubernetes" ? [`${one.namespace}/${one.service}`] : [])),
  );
  return neighbourhood(mesh, hop).flatMap((namespace) =>
    whenRead(`Services of ${namespace}`, neighbours.get(namespace), (found) => {
      const services = found.services
        .filter(({ name, isOther }) => !isOther && !named.has(`${namespace}/${name}`))
        .map(({ name, labels }) => ({ about: `Service ${namespace}/${name}`, labels }));
      return [...services, ...entriesIn(seen, namespace)]
        .filter(({ labels }) => !isManaged(labels, mesh.name) && isBoundTo(hop, namespace, labels, found))
        .map(({ about }) => ({
          about,
          reason: `it goes through the waypoint of hop ${hop.name}, and is no backend with through: ${hop.name}`,
          fix: `name it as a backend with through: ${hop.name}, or label it ${USE_WAYPOINT}=none or with another waypoint`,
        }));
    }),
  );
}

interface Labelled {
  readonly about: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The ServiceEntries of a namespace, which go through waypoints as Services do. */
function entriesIn({ serviceEntries }: ClusterSeen, namespace: string): readonly Labelled[] {
  return (valueOf(serviceEntries)?.found ?? [])
    .filter(({ metadata }) => metadata.namespace === namespace)
    .map((entry) => ({
      about: titleOf(entry),
      labels: (entry.metadata["labels"] ?? {}) as Readonly<Record<string, string>>,
    }));
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

/** Istio's own values for what it deploys: those go through no waypoint, unlike its ingress gateways. */
const WAYPOINT_CONTROLLERS: ReadonlySet<string> = new Set(["istio.io-mesh-controller", "istio.io-eastwest-controller"]);

/** Made by us, or by Istio for a waypoint. */
function isManaged(labels: Readonly<Record<string, string>>, mesh: string): boolean {
  return WAYPOINT_CONTROLLERS.has(labels["gateway.istio.io/managed"] ?? "") || meshOfLabels(labels) === mesh;
}

/** What Istio sends through a waypoint, by a label of its Gateway (https://istio.io/latest/docs/ambient/usage/waypoint/). */
function forOthers({ resources, live }: ClusterSeen): readonly Remark[] {
  return resources.filter(isWaypoint).flatMap((resource) => {
    const about = titleOf(resource);
    return whenRead(about, live.get(about), (found): readonly Finding[] => {
      const labels = (found?.metadata["labels"] ?? {}) as Readonly<Record<string, string>>;
      const { [WAYPOINT_FOR]: traffic = "service" } = labels;
      if (traffic === "service" || traffic === "all") return [];
      const { name, namespace } = resource.metadata;
      return [
        {
          about,
          reason: `its label ${WAYPOINT_FOR} is ${JSON.stringify(traffic)}`,
          fix: `kubectl label gateways.gateway.networking.k8s.io ${name} --namespace ${namespace} --overwrite ${WAYPOINT_FOR}=service`,
        },
      ];
    });
  });
}

const WAYPOINT_FOR = "istio.io/waypoint-for";

function isWaypoint({ kind, spec }: Resource): boolean {
  return kind === "Gateway" && (spec as { readonly gatewayClassName?: string }).gatewayClassName === "istio-waypoint";
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

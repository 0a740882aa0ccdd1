import type { Backend, Hop, KubernetesBackend } from "../config/model.js";
import { boundBackends, routedBackends } from "../render/istio/backends.js";
import { podLabels } from "../render/istio/destination-rule.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import type { ClusterSeen } from "./seen.js";

const USE_WAYPOINT = "istio.io/use-waypoint";
const INGRESS_USE_WAYPOINT = "istio.io/ingress-use-waypoint";

/** The proxies of the hops, the services behind them, and whether Istio took what brings them together. */
export const WORKLOAD_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0409",
    level: "error",
    title: "the labels of each gateway match Pods",
    why: "Without a proxy there is nothing that runs the filter.",
    find: (seen) =>
      withoutPods(
        seen,
        ({ gateway }) => gateway === undefined,
        "write the labels that the gateway's Pods have as selector: of the hop",
      ),
  },
  {
    code: "HG0410",
    level: "error",
    title: "waypoints and Gateway API gateways have Pods",
    why: "Without a proxy there is nothing that runs the filter.",
    after: true,
    find: (seen) =>
      withoutPods(
        seen,
        ({ gateway }) => gateway !== undefined,
        "look at the Gateway's status (kubectl describe), and at the log of istiod, which deploys its Pods",
      ),
  },
  {
    code: "HG0411",
    level: "error",
    title: "the services of backends are there, with their ports",
    why: "Requests to such a backend are answered with 503.",
    find: (seen) =>
      forEachService(seen, (backend, service) => {
        if (service === undefined)
          return [
            {
              about: aboutService(backend),
              reason: "there is none",
              fix: `create it, or correct backends.${backend.name}`,
            },
          ];
        if (service.ports.includes(backend.port)) return [];
        const reason = `it has no port ${String(backend.port)}, but ${service.ports.join(", ")}`;
        return [{ about: aboutService(backend), reason, fix: `correct port: of backends.${backend.name}` }];
      }),
  },
  {
    code: "HG0412",
    level: "warning",
    title: "the services of backends have Pods that are ready",
    why: "Requests to such a backend are answered with 503: no healthy upstream.",
    find: (seen) =>
      forEachService(seen, (backend, service) =>
        service === undefined || service.isExternal
          ? []
          : whenRead(aboutService(backend), service.readyEndpoints, (ready) =>
              ready > 0
                ? []
                : [
                    {
                      about: aboutService(backend),
                      reason: "it has no endpoint that is ready",
                      fix: `look at its Pods: kubectl get endpointslices --namespace ${backend.namespace} --selector kubernetes.io/service-name=${backend.service}`,
                    },
                  ],
            ),
      ),
  },
  {
    code: "HG0413",
    level: "error",
    title: "what is bound to a waypoint is reached through it, from ingress gateways too",
    why: "Without istio.io/use-waypoint nobody goes through the waypoint, and without istio.io/ingress-use-waypoint gateways pass it by: requests come without token, unchecked.",
    after: true,
    find: skipped,
  },
  {
    code: "HG0414",
    level: "error",
    title: "Istio took every resource",
    why: "What Istio does not accept has no effect, or a part of it has none.",
    after: true,
    find: (seen) =>
      (seen.deployed?.resources ?? []).flatMap((resource) => {
        const about = titleOf(resource);
        return whenRead(about, seen.live.get(about), (live) => refusedConditions(about, live));
      }),
  },
];

function withoutPods({ mesh, pods }: ClusterSeen, isMeant: (hop: Hop) => boolean, fix: string): readonly Remark[] {
  return [...mesh.hops.values()].filter(isMeant).flatMap((hop) =>
    whenRead(`Pods of hop ${hop.name}`, pods.get(hop.name), (found) => {
      if (found.length > 0) return [];
      const labels = Object.entries(podLabels(hop)).map(([label, value]) => `${label}=${value}`);
      return [{ about: `hop ${hop.name}`, reason: `no Pod in ${hop.namespace} has ${labels.join(",")}`, fix }];
    }),
  );
}

function aboutService({ namespace, service }: KubernetesBackend): string {
  return `Service ${namespace}/${service}`;
}

type Service = Extract<NonNullable<ReturnType<ClusterSeen["services"]["get"]>>, { value: unknown }>["value"];

function forEachService(
  { mesh, services }: ClusterSeen,
  judge: (backend: KubernetesBackend, service: Service) => readonly Remark[],
): readonly Remark[] {
  return usedServices(mesh).flatMap((backend) =>
    whenRead(aboutService(backend), services.get(`${backend.namespace}/${backend.service}`), (service) =>
      judge(backend, service),
    ),
  );
}

/** The services of the cluster that requests can get to. */
export function usedServices(mesh: ClusterSeen["mesh"]): readonly KubernetesBackend[] {
  const bound = [...mesh.hops.values()].flatMap((hop) => (hop.kind === "waypoint" ? boundBackends(mesh, hop) : []));
  const used = new Set<Backend>([...routedBackends(mesh), ...bound]);
  return [...used].filter((backend) => backend.kind === "kubernetes");
}

function skipped({ deployed, live, mesh }: ClusterSeen): readonly Remark[] {
  const hasGateway = [...mesh.hops.values()].some(({ kind }) => kind === "gateway");
  const bound = (deployed?.resources ?? []).filter((resource) => labelsOf(resource)[USE_WAYPOINT] !== undefined);
  return bound.flatMap((resource) => {
    const about = titleOf(resource);
    const wanted = labelsOf(resource);
    return whenRead(about, live.get(about), (found): readonly Finding[] => {
      const labels = labelsOf(found);
      const fix = "run hopgate deploy again, which sets the label";
      if (labels[USE_WAYPOINT] !== wanted[USE_WAYPOINT])
        return [{ about, reason: `its label ${USE_WAYPOINT} is ${labels[USE_WAYPOINT] ?? "not there"}`, fix }];
      if (!hasGateway || labels[INGRESS_USE_WAYPOINT] === "true") return [];
      return [
        { about, reason: `its label ${INGRESS_USE_WAYPOINT} is ${labels[INGRESS_USE_WAYPOINT] ?? "not there"}`, fix },
      ];
    });
  });
}

function labelsOf(resource: Resource | undefined): Readonly<Record<string, string>> {
  return (resource?.metadata["labels"] ?? {}) as Readonly<Record<string, string>>;
}

interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

interface Status {
  readonly conditions?: readonly Condition[];
  readonly parents?: readonly { readonly conditions?: readonly Condition[] }[];
  readonly listeners?: readonly { readonly conditions?: readonly Condition[] }[];
}

/** Conditions that are true of what works. */
const GOOD: ReadonlySet<string> = new Set(["Accepted", "ResolvedRefs", "WaypointAccepted", "istio.io/WaypointBound"]);

function refusedConditions(about: string, live: Resource | undefined): readonly Finding[] {
  const { conditions = [], parents = [], listeners = [] } = (live?.["status"] ?? {}) as unknown as Status;
  const all = [...conditions, ...[...parents, ...listeners].flatMap((part) => part.conditions ?? [])];
  return all
    .filter(({ type = "", status }) => status === "False" && GOOD.has(type))
    .map(({ type = "", reason = "", message = "" }) => ({
      about,
      reason: `${type} is false: ${reason}: ${message}`,
      fix: "mend what Istio names, and run hopgate deploy again",
    }));
}

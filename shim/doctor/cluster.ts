import type { Resource } from "../render/istio/resource.js";
import { currentRevision } from "../plan/revision.js";
import { stageOf, titleOf } from "../render/istio/resource.js";
import { type Check, type Finding, type Remark, valueOf, whenRead } from "./check.js";
import { beforeVersion, istioVersions, versionText } from "./istio-version.js";
import type { ClusterSeen } from "./seen.js";

/** The first release whose proxies and istiod do all that is rendered: FAIL_RELOAD, and EnvoyFilters with targetRefs on waypoints. */
const LEAST_ISTIO = [1, 27, 0] as const;
/** The classes for which Istio runs an Envoy. */
const GATEWAY_CLASS = { gateway: "istio", waypoint: "istio-waypoint" } as const;

/** The cluster, and Istio in it. */
export const CLUSTER_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0302",
    level: "error",
    title: "the cluster knows every kind that is applied",
    why: "The API server refuses resources of kinds that it does not know.",
    find: ({ kinds, resources }) => whenRead("CRDs", kinds, (known) => missingKinds(known, resources)),
  },
  {
    code: "HG0303",
    level: "error",
    title: `Istio is ${versionText(LEAST_ISTIO)} or later`,
    why: "Earlier ones know no FAIL_RELOAD, and bring no clusters of an EnvoyFilter with targetRefs to waypoints.",
    find: tooOld,
  },
  {
    code: "HG0304",
    level: "error",
    title: "Istio is not a managed Cloud Service Mesh",
    why: "A managed control plane takes no WasmPlugin: the filter would not run, and nothing would say so.",
    find: managed,
  },
  {
    code: "HG0305",
    level: "warning",
    title: "the filter comes by the resource of this Istio",
    why: "TrafficExtension supersedes WasmPlugin from Istio 1.30 on, which translates one into the other.",
    after: true,
    find: ({ kinds, api, mesh }) =>
      whenRead("TrafficExtension", kinds, (known) =>
        api === "wasmplugin" && known.has("extensions.istio.io/v1alpha1/TrafficExtension")
          ? [
              {
                about: mesh.name,
                reason: "the cluster has TrafficExtension, and the filter comes by WasmPlugin",
                fix: "nothing has to be done; hopgate deploy --api trafficextension changes over without losing a request",
              },
            ]
          : [],
      ),
  },
  {
    code: "HG0306",
    level: "error",
    title: "gateways and waypoints are of a class of Istio's Envoy",
    why: "Other proxies, such as agentgateway, run no filter of Envoy's.",
    find: ({ resources, live }) =>
      resources.filter(isGatewayApiGateway).flatMap((resource) => {
        const about = titleOf(resource);
        return whenRead(about, live.get(about), (found) => otherClass(about, resource, found));
      }),
  },
  {
    code: "HG0307",
    level: "error",
    title: "you may do what deploy and status do",
    why: "Otherwise a deployment ends half way, and a proxy that cannot be asked is unknown.",
    find: ({ missingRights }) =>
      whenRead("rights", missingRights, ({ user, rights }) =>
        [...rights].map(([namespace, missing]) => ({
          about: `namespace ${namespace}`,
          reason: `${user === undefined ? "you" : `User ${JSON.stringify(user)}`} cannot ${missing.join("; ")}`,
          fix: "hopgate render --rbac prints the role that is needed.",
        })),
      ),
  },
  {
    code: "HG0308",
    level: "warning",
    title: "where the file says gcpBackend, the cluster has GCPBackend",
    why: "Without, the service is known by its ServiceEntry alone, by which the filter reaches it in either case, with the same token.",
    find: ({ kinds, mesh }) =>
      whenRead("GCPBackend", kinds, (known) => {
        const names = [...mesh.backends.values()]
          .filter((backend) => backend.kind === "cloudRun" && backend.via === "gcpBackend")
          .map(({ name }) => name);
        if (names.length === 0 || [...known].some((kind) => kind.endsWith("/GCPBackend"))) return [];
        const reason = "the cluster does not know the kind GCPBackend";
        return [
          { about: `backends ${names.join(", ")}`, reason, fix: "write via: serviceEntry, which is what is done" },
        ];
      }),
  },
  {
    code: "HG0309",
    level: "error",
    title: "where the cluster has GCPBackend, the file says what one needs",
    why: "hopgate deploy makes one by the schema of the cluster.",
    find: ({ unfit }) =>
      unfit === undefined
        ? []
        : [{ about: "GCPBackend", reason: unfit.message, fix: unfit.fix ?? "write via: serviceEntry" }],
  },
  {
    code: "HG0310",
    level: "warning",
    title: "the filter comes by the same resource as before",
    why: "hopgate deploy changes over, without losing a request, to what --api says, which is WasmPlugin where nothing is said.",
    find: changesOver,
  },
];

function changesOver({ revisions, resources }: ClusterSeen): readonly Finding[] {
  const before = pluginKind(currentRevision(valueOf(revisions) ?? [])?.resources ?? []);
  const now = pluginKind(resources);
  if (before === undefined || now === undefined || before === now) return [];
  const reason = `what is deployed comes by ${before}`;
  return [{ about: now, reason, fix: `say --api ${before.toLowerCase()} to keep it` }];
}

function pluginKind(resources: readonly Resource[]): string | undefined {
  return resources.find((resource) => stageOf(resource) === "plugin")?.kind;
}

function missingKinds(known: ReadonlySet<string>, resources: readonly Resource[]): readonly Finding[] {
  const wanted = new Set(resources.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`));
  return [...wanted]
    .filter((kind) => kind.split("/").length === 3 && !known.has(kind))
    .map((kind) => ({ about: kind, reason: "the cluster does not know it", fix: crdFix(kind) }));
}

function crdFix(kind: string): string {
  if (kind.startsWith("gateway.networking.k8s.io/")) return "install the CRDs of the Gateway API (v1.1 or later)";
  if (kind.endsWith("/TrafficExtension")) return "use --api wasmplugin, or upgrade to Istio 1.30";
  return "install Istio with its CRDs (the Helm chart base, or istioctl install)";
}

function tooOld(seen: ClusterSeen): readonly Remark[] {
  const old = istioVersions(seen).filter(({ version }) => beforeVersion(version, LEAST_ISTIO));
  const fix = `upgrade Istio to ${versionText(LEAST_ISTIO)} or later`;
  if (old.length > 0)
    return old.map(({ pod, version }) => ({ about: pod, reason: `it is of Istio ${versionText(version)}`, fix }));
  // Without a plugin's CRD there is nothing to be read: that is another check.
  return whenRead("CRD of WasmPlugin", seen.failStrategies, (strategies) =>
    strategies.length === 0 || strategies.includes("FAIL_RELOAD")
      ? []
      : [
          {
            about: "CRD of WasmPlugin",
            reason: "it has no failStrategy FAIL_RELOAD, so it is of an earlier Istio",
            fix,
          },
        ],
  );
}

/** Its CRDs, and the revisions that Pods of a managed control plane say they are of. */
function managed({ groups, pods }: ClusterSeen): readonly Remark[] {
  const fix = "use Istio's own istiod (Helm, or istioctl) in a cluster without it, or for the gateways alone";
  const revisions = [...pods.values()]
    .flatMap((read) => valueOf(read) ?? [])
    .filter(({ metadata }) => (metadata.labels?.["istio.io/rev"] ?? "").startsWith("asm-managed"))
    .map(({ metadata }) => ({
      about: `Pod ${metadata.namespace}/${metadata.name}`,
      reason: `its istio.io/rev is ${metadata.labels?.["istio.io/rev"] ?? ""}`,
      fix,
    }));
  if (revisions.length > 0) return revisions;
  return whenRead("API groups", groups, (names) =>
    names.includes("mesh.cloud.google.com")
      ? [{ about: "mesh.cloud.google.com", reason: "the cluster has the CRDs of a managed control plane", fix }]
      : [],
  );
}

function isGatewayApiGateway({ apiVersion, kind }: Resource): boolean {
  return kind === "Gateway" && apiVersion.startsWith("gateway.networking.k8s.io/");
}

function otherClass(about: string, wanted: Resource, found: Resource | undefined): readonly Finding[] {
  const className = classOf(found);
  const known: readonly string[] = Object.values(GATEWAY_CLASS);
  if (className === undefined || known.includes(className)) return [];
  const reason = `its gatewayClassName is ${className}`;
  return [{ about, reason, fix: `name a Gateway of the class ${classOf(wanted) ?? ""} in the file` }];
}

function classOf(gateway: Resource | undefined): string | undefined {
  return (gateway?.["spec"] as { readonly gatewayClassName?: string } | undefined)?.gatewayClassName;
}

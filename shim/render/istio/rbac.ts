import type { Hop, KubernetesBackend, Mesh } from "../../config/model.js";
import type { JsonObject } from "../envoy/json.js";
import { groupOf, pluralOf } from "./api-path.js";
import { neighbourhood, refusingWaypoints } from "./backends.js";
import { GCP_BACKEND_GROUP, wantsGcpBackend } from "./gcp-backend.js";
import { labelsOf, meshNameOf, resourceName } from "./labels.js";
import { type Resource, stageOf } from "./resource.js";
import { inOrder, type MeshResources } from "./resources.js";
import { revisionNamespace, revisionNames } from "./revision-names.js";

/**
 * The least that `deploy`, `status`, `rollback`, `uninstall` and `doctor` need: a Role for each namespace, bound to a group named after the
 * mesh. Nothing for the whole cluster, and of the Secrets only those of the revisions.
 */
export function roles(mesh: Mesh, resources: MeshResources): readonly Resource[] {
  const all = inOrder(resources);
  const hopNamespaces = new Set([...mesh.hops.values()].map(({ namespace }) => namespace));
  const services = [...mesh.backends.values()].filter((backend) => backend.kind === "kubernetes");
  const namespaces = new Set([
    ...hopNamespaces,
    ...all.map(({ metadata }) => metadata.namespace),
    ...services.map(({ namespace }) => namespace),
    revisionNamespace(mesh),
  ]);
  const neighbourhoods = new Set(refusingWaypoints(mesh).flatMap((hop) => neighbourhood(mesh, hop)));
  return [...namespaces].sort().flatMap((namespace) => {
    const rules = [
      ...resourceRules([
        ...all.filter(({ metadata }) => metadata.namespace === namespace),
        ...[...mesh.hops.values()].filter((hop) => hop.namespace === namespace).flatMap(kindsOf),
      ]),
      ...(hopNamespaces.has(namespace) ? PROXY_RULES : []),
      // Whether the cluster has them is not asked: who gives rights may have no cluster at hand.
      ...(neighbourhoods.has(namespace) ? NEIGHBOUR_RULES : []),
      ...(hopNamespaces.has(namespace) && wantsGcpBackend(mesh) ? [GCP_BACKEND_RULE] : []),
      ...serviceRules(
        services.filter((service) => service.namespace === namespace),
        all,
      ),
      ...(namespace === revisionNamespace(mesh) ? [revisionRule(mesh)] : []),
    ];
    return roleWithBinding(mesh, namespace, rules);
  });
}

/**
 * Proxies are found by their labels, and asked for their metrics through the API server; `doctor` looks what else is for the same
 * proxies and hosts.
 */
const PROXY_RULES: readonly JsonObject[] = [
  { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
  { apiGroups: [""], resources: ["pods/proxy"], verbs: ["get"] },
  { apiGroups: ["extensions.istio.io"], resources: ["wasmplugins", "trafficextensions"], verbs: ["list"] },
  { apiGroups: ["networking.istio.io"], resources: ["destinationrules", "serviceentries"], verbs: ["list"] },
];

/** What else goes through a waypoint is told by labels of Services and of their namespace, which a Role for it may read. */
const NEIGHBOUR_RULES: readonly JsonObject[] = [
  { apiGroups: [""], resources: ["services"], verbs: ["list"] },
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get"] },
  { apiGroups: ["networking.istio.io"], resources: ["serviceentries"], verbs: ["list"] },
];

/** `doctor` looks whether the services of backends are there, and have endpoints. */
function serviceRules(services: readonly KubernetesBackend[], resources: readonly Resource[]): readonly JsonObject[] {
  if (services.length === 0) return [];
  const isLabelled = ({ service, namespace }: KubernetesBackend): boolean =>
    resources.some(
      ({ kind, metadata }) => kind === "Service" && metadata.name === service && metadata.namespace === namespace,
    );
  const resourceNames = [...new Set(services.filter((one) => !isLabelled(one)).map(({ service }) => service))];
  return [
    ...(resourceNames.length === 0
      ? []
      : [{ apiGroups: [""], resources: ["services"], resourceNames, verbs: ["get"] }]),
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"] },
  ];
}

function resourceRules(resources: readonly Resource[]): readonly JsonObject[] {
  const services = resources.filter(({ kind }) => kind === "Service");
  const kinds = new Map(
    resources
      .filter(({ kind }) => kind !== "Service" && kind !== "GCPBackend")
      .map((resource) => [`${groupOf(resource)}/${resource.kind}`, resource]),
  );
  return [
    ...serviceRule(
      services.filter((service) => meshNameOf(service) !== undefined),
      ALL_VERBS,
    ),
    // These are there, and others': they get labels.
    ...serviceRule(
      services.filter((service) => meshNameOf(service) === undefined),
      ["get", "patch"],
    ),
    ...[...kinds.values()].map((resource) => ({
      apiGroups: [groupOf(resource)],
      // Of either kind, so that one can take the place of the other.
      resources: stageOf(resource) === "plugin" ? ["wasmplugins", "trafficextensions"] : [pluralOf(resource)],
      verbs: ALL_VERBS,
    })),
  ];
}

/** What hopgate makes for such a hop, by this file or another: the next one has to remove what this one has. */
function kindsOf({ kind, gateway, namespace }: Hop): readonly Resource[] {
  const kinds: readonly (readonly [apiVersion: string, kind: string])[] = [
    ["networking.istio.io/v1", "ServiceEntry"],
    ["networking.istio.io/v1", "DestinationRule"],
    ["networking.istio.io/v1alpha3", "EnvoyFilter"],
    ...(kind === "waypoint" ? [["security.istio.io/v1", "AuthorizationPolicy"] as const] : []),
    ...(gateway === undefined
      ? [["networking.istio.io/v1", "VirtualService"] as const]
      : [["gateway.networking.k8s.io/v1", "HTTPRoute"] as const]),
  ];
  return kinds.map(([apiVersion, name]) => ({ apiVersion, kind: name, metadata: { name: "", namespace } }));
}

const ALL_VERBS = ["get", "create", "patch", "delete"];

const GCP_BACKEND_RULE: JsonObject = {
  apiGroups: [GCP_BACKEND_GROUP],
  resources: ["gcpbackends"],
  verbs: ALL_VERBS,
};

function serviceRule(services: readonly Resource[], verbs: readonly string[]): readonly JsonObject[] {
  if (services.length === 0) return [];
  const resourceNames = services.map(({ metadata }) => metadata.name);
  return [{ apiGroups: [""], resources: ["services"], resourceNames, verbs }];
}

function revisionRule(mesh: Mesh): JsonObject {
  const verbs = ["get", "create", "update", "patch", "delete"];
  return { apiGroups: [""], resources: ["secrets"], resourceNames: revisionNames(mesh), verbs };
}

function roleWithBinding(mesh: Mesh, namespace: string, rules: readonly JsonObject[]): readonly Resource[] {
  const metadata = { name: resourceName(mesh, "deploy"), namespace, labels: labelsOf(mesh, undefined) };
  const apiGroup = "rbac.authorization.k8s.io";
  const apiVersion = `${apiGroup}/v1`;
  return [
    { apiVersion, kind: "Role", metadata, rules },
    {
      apiVersion,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup, kind: "Role", name: metadata.name },
      subjects: [{ apiGroup, kind: "Group", name: resourceName(mesh, "deployers") }],
    },
  ];
}

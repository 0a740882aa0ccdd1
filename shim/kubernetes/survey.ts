import type { Mesh } from "../config/model.js";
import type { Read, Unknown } from "../doctor/check.js";
import type { ClusterSeen, Deployed } from "../doctor/seen.js";
import { usedServices } from "../doctor/workloads.js";
import { currentRevision, type ExpectedHop, newestFirst, type Revision } from "../plan/revision.js";
import { neighbourhood, refusingWaypoints } from "../render/istio/backends.js";
import { podLabels } from "../render/istio/destination-rule.js";
import { meshNameOf } from "../render/istio/labels.js";
import type { PluginApi } from "../render/istio/plugin.js";
import { roles } from "../render/istio/rbac.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { inOrder, type MeshResources } from "../render/istio/resources.js";
import type { Cluster } from "./cluster.js";
import { Discovery } from "./discovery.js";
import { driftOf } from "./drift.js";
import { ApiError, each } from "./objects.js";
import type { ProxyStatus } from "./proxies.js";
import { missingRights } from "./rights.js";
import { PLUGINS, readAll, reading, readNamespace, readPlugins, readSecret, readService } from "./workloads.js";

/** What a file would be in a cluster. */
export interface Plan {
  readonly api: PluginApi;
  readonly rendered: MeshResources;
  /** What proxies would report; empty: the module could not be asked. */
  readonly hops: readonly ExpectedHop[];
  /** Why GCPBackends are left out of what is rendered, though the cluster has them. */
  readonly unfit?: ClusterSeen["unfit"];
}

const RULE = "DestinationRule";

type Plugins = ClusterSeen["plugins"];
type Pods = ClusterSeen["pods"];

/** Why the API server does not answer; undefined: it does. */
export async function apiServerFailure({ objects }: Cluster): Promise<string | undefined> {
  const read = await reading(() => new Discovery(objects).version());
  return "unknown" in read ? read.unknown : undefined;
}

/** Reads of a cluster what checks are judged by. Changes nothing; what may not be read is unknown. */
export class Survey {
  private readonly discovery: Discovery;

  constructor(
    private readonly cluster: Cluster,
    private readonly plan: Plan,
  ) {
    this.discovery = new Discovery(cluster.objects);
  }

  /** What can be known before anything is deployed; with `deployed`, what came of that too. */
  async read(what: "before" | "deployed"): Promise<ClusterSeen> {
    const { mesh, objects, revisions } = this.cluster;
    const { api, rendered, unfit } = this.plan;
    const resources = inOrder(rendered);
    const namespaces = [...new Set([...mesh.hops.values()].map(({ namespace }) => namespace))];
    const [known, plugins, pods] = await Promise.all([
      reading(() => revisions.list()),
      mapOf(namespaces, (namespace) => reading(() => readPlugins(this.cluster.objects, namespace))),
      mapOf(
        [...mesh.hops.values()].map(({ name }) => name),
        (name) => this.podsOf(mesh, name),
      ),
    ]);
    const deployed = what === "deployed" ? this.deployed(known, plugins, resources) : undefined;
    const [discovered, rights, live, rules, serviceEntries, neighbours, services, secrets, after] = await Promise.all([
      this.discovered(resources),
      reading(() => missingRights(roles(mesh, rendered), objects)),
      this.live([...resources, ...(deployed?.resources ?? [])]),
      mapOf(namespaces, (namespace) => reading(() => this.rulesOf(namespace))),
      reading(() => this.serviceEntries([...new Set([...namespaces, ...refusingNeighbourhood(mesh)])])),
      this.neighbours(mesh),
      this.services(mesh),
      this.secrets(mesh),
      this.after(deployed, pods),
    ]);
    return {
      ...{ mesh, api, unfit, resources, deployed, pods, live, serviceEntries, neighbours, services, secrets },
      ...{ ...discovered, ...after },
      nowMs: Date.now(),
      missingRights: rights,
      revisions: known,
      plugins: what === "deployed" ? plugins : this.asDeployed(plugins, PLUGINS, resources),
      destinationRules: what === "deployed" ? rules : this.asDeployed(rules, [RULE], resources),
    };
  }

  /** What would be there: ours as they would be, whatever they are now, and others'. */
  private asDeployed(reads: Plugins, kinds: readonly string[], resources: readonly Resource[]): Plugins {
    const isOurs = (resource: Resource): boolean => meshNameOf(resource) === this.cluster.mesh.name;
    return new Map(
      [...reads].map(([namespace, read]): [string, Read<readonly Resource[]>] => {
        if ("unknown" in read) return [namespace, read];
        const others = read.value.filter((resource) => !isOurs(resource));
        const ours = resources.filter(({ kind, metadata }) => metadata.namespace === namespace && kinds.includes(kind));
        return [namespace, { value: [...others, ...ours] }];
      }),
    );
  }

  private async discovered(
    resources: readonly Resource[],
  ): Promise<Pick<ClusterSeen, "kinds" | "groups" | "failStrategies">> {
    const [kinds, groups, failStrategies] = await Promise.all([
      reading(() => this.discovery.kinds(resources)),
      reading(() => this.discovery.groups()),
      reading(() => this.discovery.failStrategies()),
    ]);
    return { kinds, groups, failStrategies };
  }

  /** Of the newest revision that is in place; else of this file, if its plugins are there though no revision is. */
  private deployed(
    known: Read<readonly Revision[]>,
    plugins: Plugins,
    resources: readonly Resource[],
  ): Deployed | undefined {
    const revisions = "value" in known ? known.value : [];
    const revision = currentRevision(revisions) ?? newestFirst(revisions)[0];
    if (revision !== undefined) return revision;
    const own = [...plugins.values()]
      .flatMap((read) => ("value" in read ? read.value : []))
      .filter((plugin) => meshNameOf(plugin) === this.cluster.mesh.name);
    return own.length === 0 ? undefined : { resources, hops: this.plan.hops };
  }

  private async after(
    deployed: Deployed | undefined,
    pods: Pods,
  ): Promise<Pick<ClusterSeen, "proxies" | "moduleFetches" | "drift">> {
    if (deployed === undefined) return { proxies: { value: [] }, moduleFetches: new Map(), drift: { value: [] } };
    const [proxies, drift] = await Promise.all([
      reading(() => this.cluster.proxies.statuses(deployed.hops)),
      reading(() => driftOf(deployed.resources, this.cluster.objects)),
    ]);
    const lacking = ("value" in proxies ? proxies.value : []).filter(({ state }) => state !== "loaded");
    return { proxies, drift, moduleFetches: await this.moduleFetches(lacking, pods) };
  }

  private async moduleFetches(lacking: readonly ProxyStatus[], pods: Pods): Promise<ClusterSeen["moduleFetches"]> {
    const found = [...pods.values()].flatMap((read) => ("value" in read ? read.value : []));
    const wanted = new Set(lacking.map(({ namespace, pod }) => `${namespace}/${pod}`));
    const keyed = new Map(found.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
    const names = [...wanted].filter((name) => keyed.has(name));
    return mapOf(names, (name) => {
      const pod = keyed.get(name);
      return reading(async () => (pod === undefined ? {} : this.cluster.proxies.moduleFetches(pod)));
    });
  }

  private async live(resources: readonly Resource[]): Promise<ClusterSeen["live"]> {
    const { objects } = this.cluster;
    const all = [...new Map(resources.map((resource) => [titleOf(resource), resource])).values()];
    const reads = await each(all, async (resource) => reading(() => objects.get(resource)));
    return new Map(all.map((resource, index) => [titleOf(resource), reads[index] ?? { unknown: "not read" }]));
  }

  private async serviceEntries(
    namespaces: readonly string[],
  ): Promise<{ readonly found: readonly Resource[]; readonly elsewhere?: Unknown }> {
    const { objects } = this.cluster;
    const read = (namespace?: string): Promise<readonly Resource[]> =>
      readAll(objects, "networking.istio.io/v1", "ServiceEntry", namespace);
    try {
      return { found: await read() };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 403) throw error;
      const unknown = "you may not list those of all namespaces (serviceentries.networking.istio.io)";
      const elsewhere = { about: "ServiceEntries of other namespaces", unknown };
      return { found: (await each(namespaces, read)).flat(), elsewhere };
    }
  }

  private rulesOf(namespace: string): Promise<readonly Resource[]> {
    return readAll(this.cluster.objects, "networking.istio.io/v1", RULE, namespace);
  }

  private async podsOf(mesh: Mesh, name: string): Promise<NonNullable<ReturnType<Pods["get"]>>> {
    const hop = mesh.hops.get(name);
    if (hop === undefined) return { value: [] };
    return reading(() => this.cluster.proxies.pods({ namespace: hop.namespace, podLabels: podLabels(hop) }));
  }

  private neighbours(mesh: Mesh): Promise<ClusterSeen["neighbours"]> {
    return mapOf(refusingNeighbourhood(mesh), (namespace) =>
      reading(() => readNamespace(this.cluster.objects, namespace)),
    );
  }

  private services(mesh: Mesh): Promise<ClusterSeen["services"]> {
    const names = new Set(usedServices(mesh).map(({ namespace, service }) => `${namespace}/${service}`));
    return mapOf([...names], (both) => {
      const [namespace = "", name = ""] = both.split("/");
      return reading(() => readService(this.cluster.objects, namespace, name));
    });
  }

  private secrets(mesh: Mesh): Promise<ClusterSeen["secrets"]> {
    return mapOf(secretsOf(mesh), (both) => {
      const [namespace = "", name = ""] = both.split("/");
      return reading(() => readSecret(this.cluster.objects, namespace, name));
    });
  }
}

/** Where there may be something that goes through a waypoint which refuses requests. */
function refusingNeighbourhood(mesh: Mesh): readonly string[] {
  return [...new Set(refusingWaypoints(mesh).flatMap((hop) => neighbourhood(mesh, hop)))];
}

/** `NAMESPACE/NAME`: the certificates of gateways, and what images are pulled with. */
function secretsOf({ hops, imagePullSecret }: Mesh): readonly string[] {
  const all = [...hops.values()];
  const certificates = all.flatMap((hop) =>
    hop.kind === "gateway" && hop.secret !== undefined ? [`${hop.namespace}/${hop.secret}`] : [],
  );
  const pull = imagePullSecret === undefined ? [] : all.map(({ namespace }) => `${namespace}/${imagePullSecret}`);
  return [...new Set([...certificates, ...pull])];
}

async function mapOf<T>(keys: readonly string[], read: (key: string) => Promise<T>): Promise<ReadonlyMap<string, T>> {
  return new Map(await each(keys, async (key) => [key, await read(key)] as const));
}

import type { GatewayHop, Hop, Mesh, WaypointHop } from "../../config/model.js";
import { UsageError } from "../../errors.js";
import type { PinnedImage } from "../image.js";
import { authorizationPolicies } from "./authorization.js";
import { boundBackends, gatewayBackends, waypointBackends } from "./backends.js";
import { ingressGateway, waypointGateway } from "./gateway.js";
import type { GcpBackendKind } from "./gcp-backend.js";
import { platform } from "./platform.js";
import { plugin, type PluginApi } from "./plugin.js";
import { type Resource, type Stage, stageOf, titleOf } from "./resource.js";
import { gatewayHttpRoutes, referenceGrants, virtualServices, waypointRoutes } from "./routes.js";

/** Everything that a mesh needs in a cluster. */
export interface MeshResources {
  /** What hops of several kinds need: the hosts outside the mesh, and what others own and ours adds to. */
  readonly shared: readonly Resource[];
  /** By name of the hop. */
  readonly hops: ReadonlyMap<string, readonly Resource[]>;
}

/** What is wanted beside the hopgate.yaml. */
export interface RenderOptions {
  readonly image: PinnedImage;
  readonly api: PluginApi;
  /** The cluster's kind for `via: gcpBackend`; undefined: it has none, or no cluster is asked. */
  readonly gcpBackend?: GcpBackendKind | undefined;
}

/**
 * The resources of a mesh. The same mesh gives the same resources in the same order.
 * @throws UsageError where a name cannot be used in Kubernetes, or two resources would have one name
 */
export function meshResources(mesh: Mesh, options: RenderOptions): MeshResources {
  const seen = new Map<string, string>();
  /** What several hops want is there once. */
  const isNew = (resource: Resource): boolean => {
    const [title, text] = [titleOf(resource), JSON.stringify(resource)];
    const earlier = seen.get(title);
    seen.set(title, text);
    if (earlier === undefined || earlier === text) return earlier === undefined;
    throw new UsageError(
      `two different resources would be called ${title}`,
      "choose another name for the hop or the backend of which this name is made",
    );
  };
  const all = [...mesh.hops.values()].map((hop) => ({ hop, resources: resourcesOf(mesh, hop, options).filter(isNew) }));
  return {
    shared: all.flatMap(({ resources }) => resources.filter(isShared)),
    hops: new Map(all.map(({ hop, resources }) => [hop.name, resources.filter((resource) => !isShared(resource))])),
  };
}

/** All of them, in the order in which they are applied. */
export function inOrder({ shared, hops }: MeshResources): readonly Resource[] {
  const all = [...shared, ...[...hops.values()].flat()];
  const stages: readonly Stage[] = ["surroundings", "routes", "plugin"];
  return stages.flatMap((stage) => all.filter((resource) => stageOf(resource) === stage));
}

function resourcesOf(mesh: Mesh, hop: Hop, options: RenderOptions): readonly Resource[] {
  return [
    ...platform(mesh, hop),
    ...(hop.kind === "gateway" ? ofGateway(mesh, hop, options) : ofWaypoint(mesh, hop, options)),
    plugin(mesh, hop, options.image, options.api),
  ];
}

function ofGateway(mesh: Mesh, hop: GatewayHop, options: RenderOptions): readonly Resource[] {
  // A Gateway without hosts is no valid one.
  if (mesh.routes.length === 0) return [];
  return [
    ...gatewayBackends(mesh, hop, options.gcpBackend),
    ingressGateway(mesh, hop),
    ...(hop.gateway === undefined
      ? virtualServices(mesh, hop)
      : [...referenceGrants(mesh, hop), ...gatewayHttpRoutes(mesh, hop, hop.gateway)]),
  ];
}

function ofWaypoint(mesh: Mesh, hop: WaypointHop, options: RenderOptions): readonly Resource[] {
  const namespaces = boundBackends(mesh, hop).flatMap((backend) =>
    backend.kind === "kubernetes" ? [backend.namespace] : [],
  );
  return [
    waypointGateway(hop, namespaces),
    ...waypointBackends(mesh, hop, options.gcpBackend),
    ...authorizationPolicies(mesh, hop),
    ...waypointRoutes(mesh, hop),
  ];
}

const SHARED: ReadonlySet<string> = new Set(["ServiceEntry", "GCPBackend", "Service"]);

function isShared({ kind }: Resource): boolean {
  return SHARED.has(kind);
}

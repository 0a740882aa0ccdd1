import { GCP_BACKEND_GROUP, type GcpBackendKind, type ObjectSchema } from "../render/istio/gcp-backend.js";
import type { Resource } from "../render/istio/resource.js";
import { each, type Objects } from "./objects.js";

/** What an API server knows, as far as it matters here. Whoever is logged in may ask. */
export class Discovery {
  constructor(private readonly objects: Objects) {}

  /** That it answers. @throws Failure if not */
  async version(): Promise<string> {
    const { gitVersion } = await this.get<{ readonly gitVersion: string }>("/version");
    return gitVersion;
  }

  /** Names of all API groups. */
  async groups(): Promise<readonly string[]> {
    const { groups } = await this.get<{ readonly groups: readonly { readonly name: string }[] }>("/apis");
    return groups.map(({ name }) => name);
  }

  /** `GROUP/VERSION/KIND` of all that is in the versions of these resources, and in those that Google's clusters may have. */
  async kinds(resources: readonly Resource[]): Promise<ReadonlySet<string>> {
    const own = resources.map(({ apiVersion }) => apiVersion).filter((apiVersion) => apiVersion.includes("/"));
    const versions = [...new Set([...own, ...GOOGLE_VERSIONS])];
    const lists = await each(versions, async (version) => {
      const list = await this.objects.find<{ readonly resources: readonly { readonly kind: string }[] }>(
        `/apis/${version}`,
      );
      return (list?.resources ?? []).map(({ kind }) => `${version}/${kind}`);
    });
    return new Set(lists.flat());
  }

  /** What `failStrategy` of a WasmPlugin can be; empty: the cluster does not say. */
  async failStrategies(): Promise<readonly string[]> {
    const document = await this.objects.find<OpenApi>("/openapi/v3/apis/extensions.istio.io/v1alpha1");
    const plugin = document?.components?.schemas?.["io.istio.extensions.v1alpha1.WasmPlugin"];
    const strategies = plugin?.properties?.["spec"]?.properties?.["failStrategy"]?.enum ?? [];
    return strategies.filter((one) => typeof one === "string");
  }

  /** The newest version of GCPBackend that the cluster has; undefined: it has none, or does not say what it is like. */
  async gcpBackend(): Promise<GcpBackendKind | undefined> {
    for (const apiVersion of GOOGLE_VERSIONS) {
      const document = await this.objects.find<OpenApi>(`/openapi/v3/apis/${apiVersion}`);
      const spec = Object.values(document?.components?.schemas ?? {}).find(isGcpBackend)?.properties?.["spec"];
      if (spec !== undefined) return { apiVersion, spec };
    }
    return undefined;
  }

  private get<T>(path: string): Promise<T> {
    return this.objects.request<T>({ method: "GET", path }, `read ${path}`);
  }
}

/** Where a GCPBackend would be. */
const GOOGLE_VERSIONS = ["v1", "v1beta1", "v1alpha1"].map((version) => `${GCP_BACKEND_GROUP}/${version}`);

interface OpenApi {
  readonly components?: { readonly schemas?: Readonly<Record<string, KindSchema>> };
}

interface KindSchema extends ObjectSchema {
  readonly "x-kubernetes-group-version-kind"?: readonly { readonly kind: string }[];
}

function isGcpBackend({ "x-kubernetes-group-version-kind": kinds = [] }: KindSchema): boolean {
  return kinds.some(({ kind }) => kind === "GCPBackend");
}

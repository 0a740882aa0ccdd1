import type { Resource } from "../render/istio/resource.js";
import { ApiError, each, type Objects } from "./objects.js";

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
      const list = await this.find<{ readonly resources: readonly { readonly kind: string }[] }>(`/apis/${version}`);
      return (list?.resources ?? []).map(({ kind }) => `${version}/${kind}`);
    });
    return new Set(lists.flat());
  }

  /** What `failStrategy` of a WasmPlugin can be; empty: the cluster does not say. */
  async failStrategies(): Promise<readonly string[]> {
    const document = await this.find<OpenApi>("/openapi/v3/apis/extensions.istio.io/v1alpha1");
    const plugin = document?.components?.schemas?.["io.istio.extensions.v1alpha1.WasmPlugin"];
    return plugin?.properties?.spec?.properties?.failStrategy?.enum ?? [];
  }

  private get<T>(path: string): Promise<T> {
    return this.objects.request<T>({ method: "GET", path }, `read ${path}`);
  }

  private async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }
}

/** Where a GCPBackend would be. */
const GOOGLE_VERSIONS = ["networking.gke.io/v1", "networking.gke.io/v1beta1", "networking.gke.io/v1alpha1"];

interface OpenApi {
  readonly components?: {
    readonly schemas?: Readonly<
      Record<
        string,
        {
          readonly properties?: {
            readonly spec?: {
              readonly properties?: { readonly failStrategy?: { readonly enum?: readonly string[] } };
            };
          };
        }
      >
    >;
  };
}

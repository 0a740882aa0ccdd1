import type { Mesh } from "../config/model.js";
import type { Pod, ProxyStatus } from "../kubernetes/proxies.js";
import type { Change } from "../plan/comparison.js";
import type { ExpectedHop, Revision } from "../plan/revision.js";
import type { ImageReference } from "../render/image.js";
import type { PluginApi } from "../render/istio/plugin.js";
import type { Resource } from "../render/istio/resource.js";
import type { Read, Unknown } from "./check.js";

/** What checks are judged by: read from the file, the registry and a cluster, and nothing more. */

export interface ImageSeen {
  readonly reference: ImageReference;
  readonly pullSecret: string | undefined;
  readonly plainHttp: boolean;
  readonly answer: RegistryAnswer;
}

/** What the registry said when the image was pulled. */
export type RegistryAnswer =
  | { readonly kind: "unreachable" | "unauthorised" | "missing" | "other"; readonly reason: string }
  | {
      readonly kind: "found";
      readonly usedCredentials: boolean;
      /** Why Istio would refuse it; undefined: it would not. */
      readonly refusal: string | undefined;
      /** Name of the build in it; undefined: hopgate did not build it. */
      readonly build: string | undefined;
      /** Name of the build that came with this command; undefined: there is none. */
      readonly ownBuild: string | undefined;
    };

export interface ClusterSeen {
  readonly mesh: Mesh;
  readonly api: PluginApi;
  /** Why no GCPBackend can be made though the cluster has them; undefined: none is wanted, or it can. */
  readonly unfit?: { readonly message: string; readonly fix: string | undefined } | undefined;
  /** What the file is rendered to. */
  readonly resources: readonly Resource[];
  /** What is there: of the current revision, else of what was applied by hand from this file. undefined: nothing is. */
  readonly deployed: Deployed | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** `GROUP/VERSION/KIND` of what the API server knows, of the groups that matter here. */
  readonly kinds: Read<ReadonlySet<string>>;
  /** Names of all API groups. */
  readonly groups: Read<readonly string[]>;
  /** What `failStrategy` of a WasmPlugin can be. */
  readonly failStrategies: Read<readonly string[]>;
  readonly missingRights: Read<MissingRights>;
  readonly revisions: Read<readonly Revision[]>;
  /** By title: those of the file, and of the current revision. undefined: it is not there. */
  readonly live: ReadonlyMap<string, Read<Resource | undefined>>;
  /** Every WasmPlugin and TrafficExtension, by the namespaces of hops. */
  readonly plugins: ReadonlyMap<string, Read<readonly Resource[]>>;
  /** Every DestinationRule, by the namespaces of hops. */
  readonly destinationRules: ReadonlyMap<string, Read<readonly Resource[]>>;
  /** Every ServiceEntry of the cluster, or, where `elsewhere` is not known, of the namespaces of hops. */
  readonly serviceEntries: Read<{ readonly found: readonly Resource[]; readonly elsewhere?: Unknown }>;
  /** By hop. */
  readonly pods: ReadonlyMap<string, Read<readonly Pod[]>>;
  /** By namespace, of those of waypoints that refuse requests, and of what is bound to them. */
  readonly neighbours: ReadonlyMap<string, Read<NamespaceSeen>>;
  /** Those of backends, by `NAMESPACE/NAME`. undefined: it is not there. */
  readonly services: ReadonlyMap<string, Read<ServiceSeen | undefined>>;
  /** By `NAMESPACE/NAME`. undefined: it is not there. */
  readonly secrets: ReadonlyMap<string, Read<SecretSeen | undefined>>;
  /** What applying the current revision again would change. */
  readonly drift: Read<readonly Change[]>;
  /** Of the current revision. */
  readonly proxies: Read<readonly ProxyStatus[]>;
  /** How pilot-agent's fetches of modules ended, by `NAMESPACE/POD`: of proxies that do not run what they should. */
  readonly moduleFetches: ReadonlyMap<string, Read<Readonly<Record<string, number>>>>;
}

/** What whoever asks may not do, though it is needed. */
export interface MissingRights {
  /** undefined: nothing is missing, or it is not known who asks. */
  readonly user: string | undefined;
  /** By namespace, such as `get, patch wasmplugins.extensions.istio.io`. */
  readonly rights: ReadonlyMap<string, readonly string[]>;
}

export interface Deployed {
  readonly resources: readonly Resource[];
  readonly hops: readonly ExpectedHop[];
}

/** A namespace, and every Service in it. */
export interface NamespaceSeen {
  readonly labels: Readonly<Record<string, string>>;
  readonly services: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    /** It has nothing that a filter of HTTP sees: it is another name for a host, or says of each port that it is of another protocol. */
    readonly isOther: boolean;
  }[];
}

export interface ServiceSeen {
  readonly ports: readonly number[];
  readonly isExternal: boolean;
  readonly readyEndpoints: Read<number>;
}

export interface SecretSeen {
  readonly type: string;
  /** PEM. */
  readonly certificate: string | undefined;
  readonly hasKey: boolean;
}

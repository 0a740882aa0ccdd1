/**
 * hopgate.yaml, validated and with every default filled in. What the planners (`render/`) read;
 * nothing in here touches a file. Field names follow hopgate.yaml where both have the field.
 */

/** How the traffic to a Cloud Run service leaves the mesh. */
export type CloudRunVia = "gcpBackend" | "serviceEntry" | "loadBalancer";

/** An always-on service of the cluster. */
export interface KubernetesBackend {
  readonly kind: "kubernetes";
  readonly name: string;
  readonly service: string;
  readonly namespace: string;
  /** The Service's port, 1 to 65535. */
  readonly port: number;
  /** Name of the waypoint hop in front of the service, if any. */
  readonly through: string | undefined;
}

/** A Cloud Run service; requests to it need an ID token for `audience`. */
export interface CloudRunBackend {
  readonly kind: "cloudRun";
  readonly name: string;
  /** The service's origin, such as `https://kb-abc123-uc.a.run.app`: https, no path, no port. */
  readonly url: string;
  /** Host name that clients of the mesh and Envoy use: `host` of the file where given, else the host of `url`. */
  readonly host: string;
  /** The `aud` of the ID token. Defaults to `url`. */
  readonly audience: string;
  readonly region: string | undefined;
  readonly via: CloudRunVia;
  /** Name of the waypoint hop that injects the token; undefined: the hop that routes injects. */
  readonly through: string | undefined;
}

export type Backend = KubernetesBackend | CloudRunBackend;

/** Who may call: what a validated ID token must say. */
export interface Validator {
  readonly name: string;
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  /** Allowed callers; `["*"]` allows any. */
  readonly emails: readonly string[];
  readonly algorithm: "RS256" | "ES256";
  readonly header: string | undefined;
  /** Hand the caller's token on to the backend. */
  readonly forward: boolean;
  readonly clockSkewSec: number;
  readonly maxLifetimeSec: number;
  readonly jwks: {
    readonly host: string;
    readonly path: string;
    readonly cacheSec: number;
    readonly maxStaleSec: number;
    readonly cooldownSec: number;
    readonly timeoutMs: number;
  };
}

/** One share of a route. `weight` in percent; the weights of a route sum to 100. */
export interface Arm {
  readonly backend: string;
  readonly weight: number;
}

export interface Route {
  /** Lower-case host names, exact (`kb.example.internal`) or `*.` wildcards. */
  readonly hosts: readonly string[];
  readonly arms: readonly Arm[];
  readonly sticky: string | undefined;
  readonly validate: string | undefined;
  /** Why callers need not be checked here, in words. */
  readonly open: string | undefined;
}

export interface Bypass {
  readonly path: string;
  readonly hosts: readonly string[];
}

interface HopCommon {
  readonly name: string;
  readonly edge: boolean;
  readonly validate: string | undefined;
  readonly unmatched: "pass" | "reject";
  readonly bypass: readonly Bypass[];
}

/** An ingress gateway. */
export interface GatewayHop extends HopCommon {
  readonly kind: "gateway";
  readonly namespace: string;
  /** Labels of its Pods. */
  readonly selector: Readonly<Record<string, string>>;
  /** Name of its Gateway resource; undefined for a gateway that was installed with Istio. */
  readonly gateway: string | undefined;
  /** Port that callers use, 1 to 65535. */
  readonly port: number;
  /** Name of the Secret with its certificate; undefined: plain HTTP. */
  readonly secret: string | undefined;
}

/** An ambient waypoint: the Gateway resource `name` in `namespace`. */
export interface WaypointHop extends HopCommon {
  readonly kind: "waypoint";
  readonly namespace: string;
  readonly gateway: string;
  /** `NAMESPACE` or `NAMESPACE/SERVICEACCOUNT`; undefined: not said. */
  readonly callers: readonly string[] | undefined;
}

export type Hop = GatewayHop | WaypointHop;

export interface Identity {
  readonly mode: "metadata" | "impersonate" | "off";
  readonly serviceAccount: string | undefined;
  readonly timeoutMs: number;
  readonly refreshBeforeSec: number;
  readonly maxWaiters: number;
}

export interface Timing {
  readonly expose: "never" | "always" | "trace";
  readonly key: string | undefined;
}

/** A whole hopgate.yaml. */
export interface Mesh {
  readonly name: string;
  /** Reference of the filter's image, if the file has one. */
  readonly image: string | undefined;
  readonly imagePullSecret: string | undefined;
  /** Where the revisions are kept, if the file says so. */
  readonly revisionNamespace: string | undefined;
  readonly backends: ReadonlyMap<string, Backend>;
  readonly validators: ReadonlyMap<string, Validator>;
  readonly routes: readonly Route[];
  readonly hops: ReadonlyMap<string, Hop>;
  readonly identity: Identity;
  readonly timing: Timing;
}

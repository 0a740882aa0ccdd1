import type { Cluster } from "./cluster.js";
import { Part } from "./part.js";

/** Istio's root namespace. */
export const ISTIO_NAMESPACE = "istio-system";

/** What Istio's chart has; the rest is as in a mesh without telemetry providers, so that Envoy needs no filter of Istio's own build. */
const MESH_CONFIG = {
  accessLogFile: "/dev/stdout",
  enablePrometheusMerge: false,
  trustDomain: "cluster.local",
};

const SETTINGS = {
  POD_NAME: "istiod-0",
  POD_NAMESPACE: ISTIO_NAMESPACE,
  PILOT_CERT_PROVIDER: "istiod",
  REVISION: "default",
  CLUSTER_ID: "Kubernetes",
  ENABLE_LEADER_ELECTION: "false",
  PILOT_ENABLE_AMBIENT: "true",
  // Nothing here runs Deployments: startProxy does what this controller asks a cluster for.
  PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false",
  // Filters that stock Envoys do not have.
  PILOT_ENABLE_ALPN_FILTER: "false",
  PILOT_ENABLE_METADATA_EXCHANGE: "false",
};

/** Istio's control plane. */
export class Istiod {
  readonly part: Part;
  /** Where proxies find it, with TLS. */
  readonly discoveryAddress: string;
  private readonly address: string;

  constructor(private readonly cluster: Cluster) {
    const { keeper, binaries, files } = cluster.surroundings;
    this.address = cluster.address;
    this.discoveryAddress = `${this.address}:15012`;
    const args = [
      "discovery",
      ["--kubeconfig", cluster.kubeconfigPath],
      ["--meshConfig", files.path("mesh.json")],
      ["--networksConfig", "/dev/null"],
      ["--httpAddr", `${this.address}:8080`],
      ["--httpsAddr", `${this.address}:15017`],
      ["--grpcAddr", `${this.address}:15010`],
      ["--secureGRPCAddr", this.discoveryAddress],
      ["--monitoringAddr", `${this.address}:15014`],
      ["--ctrlz_port", "0"],
      ["--domain", "cluster.local"],
    ].flat();
    const program = {
      file: binaries.path("pilot-discovery"),
      args,
      cwd: files.path(""),
      // The API server calls the webhook by address.
      env: { ...SETTINGS, ISTIOD_CUSTOM_HOST: this.address },
      logPath: files.path("istiod.log"),
    };
    this.part = new Part("istiod", keeper, program, async () => (await fetch(`http://${this.address}:8080/ready`)).ok);
  }

  /** Into a cluster that has Istio's CRDs. @throws Failure if it does not start */
  async start(): Promise<void> {
    const { cluster } = this;
    await cluster.surroundings.files.write("mesh.json", JSON.stringify(MESH_CONFIG));
    await cluster.apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name: ISTIO_NAMESPACE } }]);
    await this.part.start();
    const root = await cluster.wait(
      ["configmap", "-n", ISTIO_NAMESPACE, "istio-ca-root-cert"],
      "{.data.root-cert\\.pem}",
    );
    await cluster.apply([validation(`https://${this.address}:15017/validate`, root), withoutPeerMetadata()]);
  }
}

/** Istio's validation webhook, as its chart registers it, but by URL. */
function validation(url: string, root: string): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "istio-validator-istio-system" },
    webhooks: [
      {
        name: "rev.validation.istio.io",
        clientConfig: { url, caBundle: Buffer.from(root).toString("base64") },
        rules: [
          {
            operations: ["CREATE", "UPDATE"],
            apiGroups: ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
            apiVersions: ["*"],
            resources: ["*"],
          },
        ],
        failurePolicy: "Fail",
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  };
}

/** Takes the filters out of waypoints that only Istio's own build of Envoy has, and without which no listener would come up. */
function withoutPeerMetadata(): object {
  const remove = (filter: string): object => ({
    applyTo: "HTTP_FILTER",
    match: {
      context: "SIDECAR_INBOUND",
      listener: {
        filterChain: {
          filter: { name: "envoy.filters.network.http_connection_manager", subFilter: { name: filter } },
        },
      },
    },
    patch: { operation: "REMOVE" },
  });
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "box-stock-envoy", namespace: ISTIO_NAMESPACE },
    spec: {
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "GatewayClass", name: "istio-waypoint" }],
      configPatches: ["waypoint_downstream_peer_metadata", "waypoint_upstream_peer_metadata"].map(remove),
    },
  };
}

import { ISTIO_NAMESPACE } from "./istiod.js";

export type ProxyKind =
  /** An ingress gateway that a Gateway of Istio's selects by its labels. */
  | "gateway"
  /** What Istio deploys for a Gateway of the class `istio`. */
  | "gatewayApi"
  /** What Istio deploys for a Gateway of the class `istio-waypoint`, and that Gateway. */
  | "waypoint";

export interface ProxyOptions {
  readonly kind: ProxyKind;
  /** For the Gateway API, the name of the Gateway. */
  readonly name: string;
  readonly namespace: string;
  /** Labels of the Pod, beside those that its kind brings. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Tags of metrics that Istio makes labels of, as `extraStatTags` of ProxyConfig. */
  readonly extraStatTags?: readonly string[];
  /** What the waypoint is for, as the label `istio.io/waypoint-for`; `service` unless given. */
  readonly waypointFor?: "service" | "workload" | "all";
}

/** Ports of the Pod: the same numbers as in the Service, so that a Gateway's port is the one that Envoy listens on. */
const PORTS: Record<ProxyKind, readonly { readonly name: string; readonly port: number }[]> = {
  gateway: [
    { name: "http", port: 80 },
    { name: "https", port: 443 },
  ],
  gatewayApi: [
    { name: "http", port: 80 },
    { name: "https", port: 443 },
  ],
  waypoint: [{ name: "hbone", port: 15008 }],
};

export const PROMETHEUS_PORT = 15090;

const GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name";

export function podName({ name }: ProxyOptions): string {
  return `${name}-0`;
}

/** Of the Service and the ServiceAccount. Istio names what it deploys for a Gateway after it and its class, except for waypoints. */
export function serviceName({ kind, name }: ProxyOptions): string {
  return kind === "gatewayApi" ? `${name}-istio` : name;
}

/** Names one Pod among those that have its other labels. */
const POD_LABEL = "box/pod";

export function labelsOf(options: ProxyOptions): Record<string, string> {
  const { kind, name, labels = {} } = options;
  switch (kind) {
    case "gateway":
      return { ...labels, ...ofPod(options) };
    case "gatewayApi":
      return { [GATEWAY_NAME]: name, "gateway.istio.io/managed": "istio.io-gateway-controller", ...labels };
    case "waypoint":
      return { [GATEWAY_NAME]: name, "gateway.istio.io/managed": "istio.io-mesh-controller", ...labels };
  }
}

/** All that the API has of a proxy. `agentPort` is where pilot-agent has its metrics: 15020 in a Pod, which has one alone. */
export function resourcesOf(options: ProxyOptions, address: string, agentPort: number): object[] {
  const { kind, name, namespace, waypointFor = "service" } = options;
  const labels = labelsOf(options);
  const service = serviceName(options);
  const pod = podName(options);
  const metadata = { namespace, labels };
  const ports = PORTS[kind];
  const gateway = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { name, namespace, labels: { "istio.io/waypoint-for": waypointFor } },
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] },
  };
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: serviceName(options), namespace } },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: service, ...metadata },
      spec: { selector: labels, ports: ports.map(({ name, port }) => ({ name, port, targetPort: port })) },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: pod, ...metadata, annotations: { "prometheus.io/port": String(agentPort) } },
      spec: {
        serviceAccountName: serviceName(options),
        nodeName: "box",
        containers: [
          {
            name: "istio-proxy",
            image: "envoy",
            ports: [{ name: "http-envoy-prom", containerPort: PROMETHEUS_PORT, protocol: "TCP" }],
          },
        ],
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${service}-0`, namespace, labels: { "kubernetes.io/service-name": service } },
      addressType: "IPv4",
      ports: ports.map(({ name, port }) => ({ name, port, protocol: "TCP" })),
      endpoints: [
        { addresses: [address], conditions: { ready: true }, targetRef: { kind: "Pod", name: pod, namespace } },
      ],
    },
    ...(kind === "waypoint" ? [gateway] : secretReader(serviceName(options), namespace)),
    ownAddress(options, address),
  ];
}

/** Istiod hands TLS secrets to a gateway whose ServiceAccount may read them. */
function secretReader(name: string, namespace: string): object[] {
  const metadata = { name: `${name}-sds`, namespace };
  return [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get", "watch", "list"] }],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: metadata.name },
      subjects: [{ kind: "ServiceAccount", name, namespace }],
    },
  ];
}

/** In a Pod, listening on every address means on the Pod's. Here the Envoys would take each other's ports. */
function ownAddress(options: ProxyOptions, address: string): object {
  const { kind, name, namespace } = options;
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: `box-${namespace}-${name}`, namespace: kind === "waypoint" ? namespace : ISTIO_NAMESPACE },
    spec: {
      ...(kind === "waypoint"
        ? { targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name }] }
        : { workloadSelector: { labels: kind === "gateway" ? ofPod(options) : labelsOf(options) } }),
      configPatches: [
        {
          applyTo: "LISTENER",
          match: kind === "waypoint" ? { listener: { name: "connect_terminate" } } : { context: "GATEWAY" },
          patch: { operation: "MERGE", value: { address: { socket_address: { address } } } },
        },
      ],
    },
  };
}

/** A selector in Istio's root namespace is for all namespaces. */
function ofPod({ namespace, name }: ProxyOptions): Record<string, string> {
  return { [POD_LABEL]: `${namespace}.${name}` };
}

/** That the Pod runs and has its address. */
export function podStatus(options: ProxyOptions, podIP: string): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: podName(options), namespace: options.namespace },
    status: {
      phase: "Running",
      podIP,
      podIPs: [{ ip: podIP }],
      conditions: [{ type: "Ready", status: "True" }],
    },
  };
}

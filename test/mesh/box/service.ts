import type { LocalServer } from "../../../shim/local/server.js";
import type { Cluster } from "./cluster.js";

export interface ServiceOptions {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
  /** What Istio goes by, as in `appProtocol`; `http` unless given. */
  readonly protocol?: "http" | "http2" | "grpc" | "tcp";
  readonly labels?: Readonly<Record<string, string>>;
  /** Servers of this process, one for each Pod. */
  readonly servers: readonly Pick<LocalServer, "port">[];
}

/** A Service of the cluster. */
export interface Service {
  /** `NAME.NAMESPACE.svc.cluster.local`. */
  readonly host: string;
  /** The cluster IP, by which waypoints know it. */
  readonly clusterIp: string;
}

/** Makes a Service with an endpoint for each of `servers`. */
export async function startService(cluster: Cluster, options: ServiceOptions): Promise<Service> {
  const { name, namespace, port, protocol = "http", labels, servers } = options;
  const { addresses, forwarders } = cluster.surroundings;
  const endpoints: object[] = [];
  for (const server of servers) {
    const address = addresses.next();
    await forwarders.open({ address, port }, { address: "127.0.0.1", port: server.port });
    endpoints.push({ addresses: [address], conditions: { ready: true } });
  }
  await cluster.apply([
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion: "v1",
      kind: "Service",
      // An empty map would be one more thing to be owned.
      metadata: { name, namespace, ...(labels !== undefined && { labels }) },
      spec: { ports: [{ name: protocol, port, targetPort: port, appProtocol: protocol }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-0`, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: protocol, port, protocol: "TCP", appProtocol: protocol }],
      endpoints,
    },
  ]);
  return {
    host: `${name}.${namespace}.svc.cluster.local`,
    clusterIp: await cluster.wait(`/api/v1/namespaces/${namespace}/services/${name}`, ({ spec }) => spec?.clusterIP),
  };
}

import { createServer } from "node:http";
import { dirname } from "node:path";

import { listen, type LocalServer } from "../../../shim/local/server.js";
import type { Box } from "./box.js";
import { startGoogle } from "./google.js";
import type { State } from "./state.js";

const INGRESS = { namespace: "istio-ingress", name: "ingress" };
const GATEWAY = { namespace: "istio-ingress", name: "gateway" };
const WAYPOINT = { namespace: "demo", name: "waypoint" };
const LABELS = { istio: "ingressgateway" };

/** A service that says what it saw of a request. */
export function startEcho(): Promise<LocalServer> {
  const server = createServer(({ method, url, rawHeaders }, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify({ method, url, rawHeaders }, null, 2)}\n`);
  });
  return listen(server, "http");
}

/** What `up` has: one of each kind of proxy, and a service that is reached through all of them. */
export async function startDemonstration(
  box: Box,
  echo: LocalServer,
  onProgress: (text: string) => void,
): Promise<State> {
  onProgress("starting Kubernetes and Istio");
  const mesh = await box.startMesh("mesh");
  onProgress("starting the services");
  await startGoogle(box.outside);
  const { host } = await mesh.startService({
    name: "echo",
    namespace: WAYPOINT.namespace,
    port: 80,
    labels: { "istio.io/use-waypoint": WAYPOINT.name, "istio.io/ingress-use-waypoint": "true" },
    servers: [echo],
  });
  onProgress("starting the proxies");
  const proxies = await Promise.all([
    mesh.startProxy({ kind: "gateway", ...INGRESS, labels: LABELS }),
    mesh.startProxy({ kind: "gatewayApi", ...GATEWAY }),
    mesh.startProxy({ kind: "waypoint", ...WAYPOINT }),
  ]);
  await mesh.cluster.apply([...throughIngress(host), ...throughGateway("echo", WAYPOINT.namespace)]);
  return {
    pid: process.pid,
    work_dir: box.workDir,
    started_at: new Date().toISOString(),
    kubeconfig: mesh.cluster.kubeconfigPath,
    registry: box.registry.host,
    programs: dirname(box.programs.binaries.path("kubectl")),
    proxies: proxies.map(({ kind, name, namespace, url }) => ({ kind, name, namespace, url })),
  };
}

function throughIngress(host: string): object[] {
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: INGRESS,
      spec: { selector: LABELS, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: INGRESS,
      spec: { hosts: ["*"], gateways: [INGRESS.name], http: [{ route: [{ destination: { host } }] }] },
    },
  ];
}

function throughGateway(name: string, namespace: string): object[] {
  return [
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: GATEWAY,
      spec: {
        gatewayClassName: "istio",
        listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }],
      },
    },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name, namespace },
      spec: { parentRefs: [GATEWAY], rules: [{ backendRefs: [{ name, port: 80 }] }] },
    },
  ];
}

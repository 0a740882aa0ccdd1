import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { wasmPath } from "../../shim/package-root.js";
import { request } from "../../shim/trace/client.js";
import { startEcho } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { Box } from "./box/box.js";
import type { Mesh } from "./box/mesh.js";
import type { Proxy } from "./box/proxy.js";
import { wasmPlugin } from "./resources.js";

const programs = await meshPrograms();

const NAMESPACE = "istio-ingress";
const LABELS = { istio: "ingressgateway" };
const SELECTOR = { selector: LABELS };
const FILTER = { hop: "ingress", routes: [], backends: {} };

describe.skipIf(programs === undefined)("the mesh in a box", () => {
  let box: Box;
  let mesh: Mesh;
  let ingress: Proxy;
  let echo: LocalServer;

  const status = async (): Promise<number | undefined> => {
    const answer = await request({
      url: "http://any.example.internal/",
      connectTo: { host: ingress.address, port: 80 },
    }).catch(() => undefined);
    return answer?.status;
  };
  const untilStatus = (wanted: number): Promise<true> =>
    eventually(async () => ((await status()) === wanted ? true : undefined));

  beforeAll(async () => {
    if (programs === undefined) return;
    box = await Box.open(programs);
    mesh = await box.startMesh("one");
    echo = await startEcho();
    const { host } = await mesh.startService({ name: "echo", namespace: "demo", port: 80, servers: [echo] });
    ingress = await mesh.startProxy({ kind: "gateway", name: "ingress", namespace: NAMESPACE, labels: LABELS });
    await mesh.cluster.apply(routeAllTo(host));
    await untilStatus(200);
  });

  afterAll(async () => {
    await box.close();
    await echo.close();
  });

  it("refuses, by Istio's webhook, what Istio does not take", async () => {
    const forAll = {
      ...routeAllTo("echo")[1],
      spec: { hosts: ["*"], http: [{ route: [{ destination: { host: "a" } }] }] },
    };
    await expect(mesh.cluster.apply([forAll])).rejects.toThrow(/denied the request: .*wildcard host \* is not allowed/);
  });

  it("lets a user do what RBAC lets that user do, and no more", async () => {
    const path = await mesh.cluster.writeKubeconfig("kubeconfig-reader", { user: "reader" });
    await mesh.cluster.kubectl(["create", "clusterrole", "reader", "--verb=list", "--resource=services"]);
    await mesh.cluster.kubectl(["create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=reader"]);
    expect(await mesh.cluster.kubectl(["--kubeconfig", path, "get", "services", "-n", "demo"])).toContain("echo");
    await expect(mesh.cluster.kubectl(["--kubeconfig", path, "get", "secrets", "-n", "demo"])).rejects.toThrow(
      /cannot list resource "secrets"/,
    );
  });

  it("answers every request with 403 where a module cannot be fetched, until it can", async () => {
    const image = await box.registry.push(wasmPath(), "hopgate", "lost");
    await box.registry.part.kill();
    await mesh.cluster.apply([wasmPlugin(NAMESPACE, "ingress", SELECTOR, image, FILTER)]);
    await untilStatus(403);
    await box.registry.part.start();
    const pushed = await box.registry.push(wasmPath(), "hopgate", "found");
    await mesh.cluster.apply([wasmPlugin(NAMESPACE, "ingress", SELECTOR, pushed, { ...FILTER, unmatched: "reject" })]);
    await untilStatus(404);
    await mesh.cluster.kubectl(["delete", "wasmplugin", "-n", NAMESPACE, "ingress"]);
    await untilStatus(200);
  });

  it("keeps serving while its control plane hangs, and takes changes again afterwards", async () => {
    mesh.istiod.part.pause();
    try {
      expect(await status()).toBe(200);
    } finally {
      mesh.istiod.part.resume();
    }
    const image = await box.registry.push(wasmPath(), "hopgate", "test");
    await mesh.cluster.apply([wasmPlugin(NAMESPACE, "ingress", SELECTOR, image, { ...FILTER, unmatched: "reject" })]);
    await untilStatus(404);
  });

  it("has ways to the API that are slow, or cut", async () => {
    const { kubeconfigPath, forwarder } = await mesh.cluster.detour();
    const ask = (): Promise<string> =>
      mesh.cluster.kubectl(["--kubeconfig", kubeconfigPath, "get", "--raw", "/readyz"]);
    expect(await ask()).toBe("ok");
    forwarder.delayMs = 400;
    const before = performance.now();
    expect(await ask()).toBe("ok");
    expect(performance.now() - before).toBeGreaterThan(400);
    await forwarder.close();
    await expect(ask()).rejects.toThrow(/refused/);
  });

  it("has an API server that can be lost, with what it knows", async () => {
    await mesh.cluster.apiServer.kill();
    await expect(mesh.cluster.get("/readyz")).rejects.toThrow();
    await mesh.cluster.apiServer.start();
    expect(await mesh.cluster.kubectl(["get", "service", "-n", "demo", "echo", "-o", "name"])).toBe("service/echo\n");
  });

  it("has further clusters, which know nothing of each other", async () => {
    const bare = await box.startCluster("two");
    expect(await bare.kubectl(["get", "wasmplugins", "-A"])).toBe("");
    await expect(bare.kubectl(["get", "namespace", "demo"])).rejects.toThrow(/not found/);
    expect(await bare.kubectl(["config", "current-context"])).toBe("two\n");
  });
});

function routeAllTo(host: string): object[] {
  const metadata = { namespace: NAMESPACE, name: "ingress" };
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata,
      spec: { selector: LABELS, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata,
      spec: { hosts: ["*"], gateways: ["ingress"], http: [{ route: [{ destination: { host } }] }] },
    },
  ];
}

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { wasmPath } from "../../shim/package-root.js";
import { createCertificateAuthority } from "../../shim/local/ca.js";
import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer } from "../../shim/local/server.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { parseServerTiming } from "../../shim/trace/server-timing.js";
import { type Seen, seenHeader, startEcho } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { configsIn, hopgateMetrics } from "../support/metrics.js";
import { Box } from "./box/box.js";
import { deployToCloudRun, CALLER, startGoogle } from "./box/google.js";
import type { Mesh } from "./box/mesh.js";
import type { Proxy } from "./box/proxy.js";
import { cloudRunHost, metadataServer, tlsSecret, wasmPlugin } from "./resources.js";

const programs = await meshPrograms();

const NAMESPACE = "istio-ingress";
const LABELS = { istio: "ingressgateway" };
const KB_HOST = "kb-abc123-uc.a.run.app";
const KB_AUDIENCE = `https://${KB_HOST}`;

describe.skipIf(programs === undefined)("an ingress gateway, chosen by selector, that runs the filter", () => {
  let box: Box;
  let mesh: Mesh;
  let ingress: Proxy;
  let echo: LocalServer;
  let cloudRun: CloudRun;
  /** Reference of the filter's image. */
  let image: string;
  /** Root of the certificate at the gateway. */
  let ca: string;

  const plugin = (timing: "never" | "always"): object =>
    wasmPlugin(NAMESPACE, "ingress", { selector: LABELS }, image, {
      hop: "ingress",
      edge: true,
      routes: [
        { hosts: ["llm.example.internal"], to: [{ backend: "llm", weight: 100 }] },
        { hosts: ["kb.example.internal"], to: [{ backend: "kb", weight: 100 }], open: "a test" },
      ],
      backends: { llm: {}, kb: { token: { audience: KB_AUDIENCE } } },
      identity: { mode: "metadata", cluster: "outbound|80||metadata.google.internal" },
      timing: { expose: timing },
    });

  const send = (name: string, scheme: "http" | "https" = "http"): Promise<ClientResponse> =>
    request({
      url: `${scheme}://${name}.example.internal/`,
      connectTo: { host: ingress.address, port: scheme === "http" ? 80 : 443 },
      ca,
    });

  /** Until the mesh has taken what was applied. */
  const served = (name: string, scheme?: "http" | "https"): Promise<ClientResponse> =>
    eventually(async () => {
      const response = await send(name, scheme).catch(() => undefined);
      return response?.status === 200 ? response : undefined;
    });

  beforeAll(async () => {
    if (programs === undefined) return;
    box = await Box.open(programs);
    mesh = await box.startMesh("mesh");
    echo = await startEcho();
    const google = await startGoogle(box.outside);
    cloudRun = await deployToCloudRun(box.outside, google, {
      [KB_HOST]: { audiences: [KB_AUDIENCE], invokers: [CALLER], container: echo.origin },
    });
    image = await box.registry.push(wasmPath(), "hopgate", "test");
    const llm = await mesh.startService({ name: "llm", namespace: "llm", port: 80, servers: [echo] });
    ingress = await mesh.startProxy({
      kind: "gateway",
      name: "ingress",
      namespace: NAMESPACE,
      labels: LABELS,
      extraStatTags: ["hop", "backend", "result", "config", "module"],
    });
    const authority = await createCertificateAuthority();
    ca = authority.certificate;
    await mesh.cluster.apply([
      tlsSecret(NAMESPACE, "serving", await authority.issue({ dnsNames: ["*.example.internal"] })),
      metadataServer(NAMESPACE),
      ...cloudRunHost(NAMESPACE, KB_HOST),
      gateway(),
      virtualService({ llm: { host: llm.host }, kb: { host: KB_HOST, authority: KB_HOST } }),
      plugin("never"),
    ]);
    await served("llm");
  });

  afterAll(async () => {
    await box.close();
    await echo.close();
  });

  it("routes by host", async () => {
    const { body } = await send("llm");
    expect(seenHeader(JSON.parse(body) as Seen, "x-hopgate-path")).toEqual(["ingress"]);
    expect((await send("nobody")).status).toBe(404);
  });

  it("adds the ID token of Cloud Run's service, over TLS whose certificate is checked", async () => {
    const { body } = await served("kb");
    const [authorization] = seenHeader(JSON.parse(body) as Seen, "authorization");
    // Cloud Run's front end has checked the signature, and takes it away.
    expect(authorization).toMatch(/\.SIGNATURE_REMOVED_BY_GOOGLE$/);
    expect(cloudRun.requests.at(-1)).toMatchObject({ host: KB_HOST, outcome: "forwarded" });
    expect(seenHeader(JSON.parse((await send("llm")).body) as Seen, "authorization")).toEqual([]);
  });

  it("serves TLS with a certificate of a private authority, from a Secret", async () => {
    expect((await served("llm", "https")).status).toBe(200);
  });

  it("says which configuration runs, in metrics that are read through the API server, and takes a new one", async () => {
    const running = async (): Promise<[string, number][]> => [...configsIn(hopgateMetrics(await ingress.metrics()))];
    // Two workers and the main thread.
    const [[before] = []] = await eventually(async () => {
      const configs = await running();
      return configs.length === 1 && configs[0]?.[1] === 3 ? configs : undefined;
    });
    expect((await send("llm")).serverTiming).toEqual([]);
    await mesh.cluster.apply([plugin("always")]);
    const [[after] = []] = await eventually(async () => {
      const configs = (await running()).filter(([, count]) => count > 0);
      return configs.length === 1 && configs[0]?.[1] === 3 && configs[0][0] !== before ? configs : undefined;
    });
    expect(after).toMatch(/^[0-9a-f]{8}$/);
    const names = parseServerTiming((await send("llm")).serverTiming).map(({ name }) => name);
    expect(names).toEqual(["ingress", "ingress-upstream"]);
  });

  it("has metrics with labels", async () => {
    await send("llm");
    const requests = hopgateMetrics(await ingress.metrics()).filter(({ name }) => name === "hopgate_requests");
    expect(requests.map(({ labels }) => labels)).toContainEqual({ hop: "ingress", backend: "llm", result: "ok" });
  });
});

function gateway(): object {
  const hosts = ["*"];
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { namespace: NAMESPACE, name: "ingress" },
    spec: {
      selector: LABELS,
      servers: [
        { port: { number: 80, name: "http", protocol: "HTTP" }, hosts },
        {
          port: { number: 443, name: "https", protocol: "HTTPS" },
          tls: { mode: "SIMPLE", credentialName: "serving" },
          hosts,
        },
      ],
    },
  };
}

function virtualService(backends: Readonly<Record<string, { host: string; authority?: string }>>): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { namespace: NAMESPACE, name: "ingress" },
    spec: {
      hosts: ["*"],
      gateways: ["ingress"],
      http: Object.entries(backends).map(([name, { host, authority }]) => ({
        match: [{ headers: { "x-hopgate-backend": { exact: name } } }],
        ...(authority === undefined ? {} : { rewrite: { authority } }),
        route: [{ destination: { host, port: { number: 80 } } }],
      })),
    },
  };
}

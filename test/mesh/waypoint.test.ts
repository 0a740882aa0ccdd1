import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer } from "../../shim/local/server.js";
import { wasmPath } from "../../shim/package-root.js";
import type { PluginBackend } from "../../shim/render/plugin-config.js";
import { request } from "../../shim/trace/client.js";
import { parseServerTiming } from "../../shim/trace/server-timing.js";
import { audienceOf, type Seen, seenHeader, startEcho } from "../support/echo.js";
import { requestByHbone, type WorkloadIdentity } from "../support/hbone.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { configsIn, hopgateMetrics } from "../support/metrics.js";
import { Box } from "./box/box.js";
import { CALLER, deployToCloudRun, startGoogle } from "./box/google.js";
import type { Mesh } from "./box/mesh.js";
import type { Proxy } from "./box/proxy.js";
import type { Service } from "./box/service.js";
import { cloudRunHost, metadataServer, referencedServices, wasmPlugin } from "./resources.js";

const programs = await meshPrograms();

const NAMESPACE = "agents";
const GATEWAY_LABELS = { istio: "ingressgateway" };
const WRITER_AUDIENCE = "https://writer.example.internal";
const REPORTS_HOST = "reports-abc123-uc.a.run.app";
const IMPOSTOR_HOST = "impostor-abc123-uc.a.run.app";
const USE_WAYPOINT = { "istio.io/use-waypoint": "waypoint" };

type Answer = Awaited<ReturnType<typeof requestByHbone>>;

describe.skipIf(programs === undefined)("a waypoint, chosen by targetRefs, that runs the filter", () => {
  let box: Box;
  let mesh: Mesh;
  let ingress: Proxy;
  let waypoint: Proxy;
  let echo: LocalServer;
  let writer: Service;
  let reports: CloudRun;
  let impostor: CloudRun;
  let identity: WorkloadIdentity;

  /** As another workload of the mesh sends to a service of the waypoint's, by its address. */
  const send = (address: string, host: string): Promise<Answer> =>
    requestByHbone(`${waypoint.address}:15008`, identity, `${address}:80`, { host });

  /** The address that istiod has given to a host outside of the cluster. */
  const addressOf = (host: string): Promise<string> => {
    const name = host.split(".", 1)[0] ?? "";
    return mesh.cluster.wait(
      `/apis/networking.istio.io/v1/namespaces/${NAMESPACE}/serviceentries/${name}`,
      ({ status }) => status?.addresses?.[0]?.value,
    );
  };

  beforeAll(async () => {
    if (programs === undefined) return;
    box = await Box.open(programs);
    mesh = await box.startMesh("mesh");
    echo = await startEcho();
    const google = await startGoogle(box.outside);
    const services = (host: string): Parameters<typeof deployToCloudRun>[2] => ({
      [host]: { audiences: [`https://${host}`], invokers: [CALLER], container: echo.origin },
    });
    reports = await deployToCloudRun(box.outside, google, services(REPORTS_HOST));
    // Trusted like all of a public authority's, and for another name.
    const wrong = await box.outside.ca.issue({ dnsNames: ["attacker.example.com"] });
    impostor = await deployToCloudRun(box.outside, google, services(IMPOSTOR_HOST), wrong);
    writer = await mesh.startService({
      name: "writer",
      namespace: NAMESPACE,
      port: 80,
      labels: { ...USE_WAYPOINT, "istio.io/ingress-use-waypoint": "true" },
      servers: [echo],
    });
    [ingress, waypoint] = await Promise.all([
      mesh.startProxy({ kind: "gateway", name: "ingress", namespace: "istio-ingress", labels: GATEWAY_LABELS }),
      mesh.startProxy({
        kind: "waypoint",
        name: "waypoint",
        namespace: NAMESPACE,
        extraStatTags: ["hop", "config", "module"],
      }),
    ]);
    identity = await identityOf(ingress);
    const image = await box.registry.push(wasmPath(), "hopgate", "test");
    const token = (host: string): PluginBackend => ({ token: { audience: `https://${host}` } });
    await mesh.cluster.apply([
      metadataServer(NAMESPACE),
      referencedServices(NAMESPACE, { gateway: "waypoint" }, ["metadata.google.internal"]),
      ...cloudRunHost(NAMESPACE, REPORTS_HOST, USE_WAYPOINT),
      ...cloudRunHost(NAMESPACE, IMPOSTOR_HOST, USE_WAYPOINT),
      wasmPlugin(NAMESPACE, "waypoint", { gateway: "waypoint" }, image, {
        hop: "agents",
        match: "service",
        routes: [
          { hosts: [writer.host], to: [{ backend: "writer", weight: 100 }] },
          { hosts: [REPORTS_HOST], to: [{ backend: "reports", weight: 100 }] },
          { hosts: [IMPOSTOR_HOST], to: [{ backend: "impostor", weight: 100 }] },
        ],
        backends: {
          writer: { token: { audience: WRITER_AUDIENCE } },
          reports: token(REPORTS_HOST),
          impostor: token(IMPOSTOR_HOST),
        },
        identity: { mode: "metadata", cluster: "outbound|80||metadata.google.internal" },
      }),
      ...ingressTo(writer),
      wasmPlugin("istio-ingress", "ingress", { selector: GATEWAY_LABELS }, image, {
        hop: "ingress",
        edge: true,
        routes: [{ hosts: ["writer.example.internal"], to: [{ backend: "writer", weight: 100 }] }],
        backends: { writer: { through: "agents" } },
        timing: { expose: "always" },
      }),
    ]);
    await eventually(async () => {
      const { status, body } = await send(writer.clusterIp, "writer");
      return status === 200 && pathOf(body) === "agents" ? true : undefined;
    });
  });

  afterAll(async () => {
    await box.close();
    await echo.close();
  });

  it("adds the ID token of the service by whose address it is reached, whatever the Host header says", async () => {
    for (const host of ["writer", REPORTS_HOST, "nobody.example.com"]) {
      const { status, body } = await send(writer.clusterIp, host);
      expect(status).toBe(200);
      const seen = JSON.parse(body) as Seen;
      expect(audienceOf(seenHeader(seen, "authorization")[0])).toBe(WRITER_AUDIENCE);
      expect(seenHeader(seen, "x-hopgate-backend")).toEqual(["writer"]);
    }
  });

  it("is reached by the gateway over HBONE, and the response has the time of both hops", async () => {
    const response = await eventually(async () => {
      const answer = await request({
        url: "http://writer.example.internal/",
        connectTo: { host: ingress.address, port: 80 },
      });
      return answer.status === 200 && pathOf(answer.body) === "ingress,agents" ? answer : undefined;
    });
    const seen = JSON.parse(response.body) as Seen;
    expect(audienceOf(seenHeader(seen, "authorization")[0])).toBe(WRITER_AUDIENCE);
    const durations = new Map(
      parseServerTiming(response.serverTiming).map(({ name, duration = 0 }) => [name, duration]),
    );
    expect([...durations.keys()].filter((name) => !name.endsWith("-wait")).sort()).toEqual([
      "agents",
      "agents-upstream",
      "ingress",
      "ingress-upstream",
    ]);
    expect(durations.get("ingress-upstream")).toBeGreaterThan(durations.get("agents") ?? Infinity);
  });

  it("brings requests out of the mesh to Cloud Run, with the ID token, where the certificate has the service's name", async () => {
    const address = await addressOf(REPORTS_HOST);
    const answer = await eventually(async () => {
      const response = await send(address, REPORTS_HOST);
      return response.status === 200 ? response : undefined;
    });
    expect(pathOf(answer.body)).toBe("agents");
    expect(reports.requests.at(-1)).toMatchObject({ host: REPORTS_HOST, outcome: "forwarded" });
  });

  it("sends nothing to a server whose certificate has another name", async () => {
    const address = await addressOf(IMPOSTOR_HOST);
    const answer = await eventually(async () => {
      const response = await send(address, IMPOSTOR_HOST);
      // Until there is a token, the filter itself answers 503.
      return response.headers["x-hopgate-error"] === undefined ? response : undefined;
    });
    expect(answer.status).toBe(503);
    await eventually(async () => (await waypoint.log()).includes("CERTIFICATE_VERIFY_FAILED") || undefined);
    expect(impostor.requests).toEqual([]);
  });

  it("says which configuration runs, in metrics that are read through the API server", async () => {
    const configs = await eventually(async () => {
      const found = [...configsIn(hopgateMetrics(await waypoint.metrics())).values()];
      return found.length > 0 ? found : undefined;
    });
    expect(configs).toEqual([3]);
  });
});

async function identityOf({ identityFolder }: Proxy): Promise<WorkloadIdentity> {
  const [certificate = "", key = "", ca = ""] = await Promise.all(
    ["cert-chain.pem", "key.pem", "root-cert.pem"].map((name) => readFile(join(identityFolder, name), "utf8")),
  );
  return { certificate, key, ca };
}

/** The hops that a request came through, in the answer of the echo. */
function pathOf(body: string): string | undefined {
  return seenHeader(JSON.parse(body) as Seen, "x-hopgate-path")[0];
}

function ingressTo({ host }: Service): object[] {
  const metadata = { namespace: "istio-ingress", name: "ingress" };
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata,
      spec: {
        selector: GATEWAY_LABELS,
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata,
      spec: {
        hosts: ["*"],
        gateways: ["ingress"],
        http: [
          {
            match: [{ headers: { "x-hopgate-backend": { exact: "writer" } } }],
            route: [{ destination: { host, port: { number: 80 } } }],
          },
        ],
      },
    },
  ];
}

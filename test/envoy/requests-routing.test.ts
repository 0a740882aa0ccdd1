import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseMesh } from "../../shim/config/parse.js";
import type { AgentReport } from "../../shim/local/agent.js";
import type { LocalServer } from "../../shim/local/server.js";
import { virtualIps } from "../../shim/render/envoy/vips.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { audienceOf, type Seen, seenHeader, startEcho } from "../support/echo.js";
import { requestByTunnel } from "../support/hbone.js";
import { type MeshUnderTest, startMesh } from "../support/local-mesh.js";
import { scrape } from "../support/metrics.js";
import { rawRequest, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const HOST = "kb.example.internal";
const AUDIENCE = "https://kb-abc123-uc.a.run.app";
const FORGED = ["Backend: kb", "Caller: me", "Path: a,b", "Timing: fake;dur=1.000", "Trace: guess", "Whatever: x"]
  .map((line) => `X-Hopgate-${line}\r\n`)
  .join("");

describe.skipIf(envoyPath === "")("which requests are whose", () => {
  const config: PluginConfig = {
    hop: "ingress",
    edge: true,
    routes: [{ hosts: [HOST], to: [{ backend: "kb", weight: 100 }], open: "a test" }],
    backends: { kb: { token: { audience: AUDIENCE } } },
    identity: {},
    bypass: [{ path: "/healthz/ready" }, { path: "/kb-only", hosts: [HOST] }],
    timing: { expose: "always" },
  };
  let echo: LocalServer;
  let edge: Standalone;
  let inner: Standalone;

  beforeAll(async () => {
    echo = await startEcho();
    const options = { envoyPath, services: { kb: echo }, passTo: echo };
    [edge, inner] = await Promise.all([
      startStandalone({ ...options, config }),
      startStandalone({ ...options, config: { ...config, hop: "inner", edge: false, timing: {} } }),
    ]);
  });

  afterAll(async () => {
    await Promise.all([edge.close(), inner.close(), echo.close()]);
  });

  async function ask(hop: Standalone, host: string, path = "/", lines = ""): Promise<{ seen: Seen; timing: string[] }> {
    const response = await rawRequest(hop.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
    expect(response.status).toBe(200);
    return { seen: JSON.parse(response.body.toString()) as Seen, timing: valuesOf(response, "server-timing") };
  }

  function ownHeaders({ rawHeaders }: Seen): Record<string, string | undefined> {
    const names = rawHeaders.filter((name, index) => index % 2 === 0 && /^x-hopgate-/i.test(name));
    return Object.fromEntries(names.map((name) => [name, rawHeaders[rawHeaders.indexOf(name) + 1]]));
  }

  it("an edge lets no x-hopgate header of a caller in, matched, unmatched or bypassed", async () => {
    expect(ownHeaders((await ask(edge, HOST, "/", FORGED)).seen)).toEqual({
      "x-hopgate-backend": "kb",
      "x-hopgate-path": "ingress",
    });
    expect(ownHeaders((await ask(edge, "other.example", "/", FORGED)).seen)).toEqual({ "x-hopgate-path": "ingress" });
    expect(ownHeaders((await ask(edge, HOST, "/healthz/ready", FORGED)).seen)).toEqual({});
  });

  it("a hop within takes no caller's word for backend and caller, and believes the rest", async () => {
    expect(ownHeaders((await ask(inner, HOST, "/", FORGED)).seen)).toEqual({
      "x-hopgate-backend": "kb",
      "x-hopgate-path": "a,b,inner",
      "x-hopgate-timing": "fake;dur=1.000",
      "x-hopgate-trace": "guess",
      "x-hopgate-whatever": "x",
    });
    for (const path of ["/", "/healthz/ready"]) {
      const seen = ownHeaders((await ask(inner, "other.example", path, FORGED)).seen);
      expect(seen["x-hopgate-backend"]).toBeUndefined();
      expect(seen["x-hopgate-caller"]).toBeUndefined();
    }
  });

  it("names at most eight hops in the path", async () => {
    for (const [came, goes] of [
      ["a,b,c,d,e,f,g", "a,b,c,d,e,f,g,inner"],
      ["a,b,c,d,e,f,g,h", "a,b,c,d,e,f,g,h"],
    ] as const) {
      const { seen } = await ask(inner, HOST, "/", `X-Hopgate-Path: ${came}\r\n`);
      expect(seenHeader(seen, "x-hopgate-path")).toEqual([goes]);
    }
  });

  it("an edge removes them all, however many", async () => {
    const many = Array.from({ length: 80 }, (_, index) => `X-Hopgate-N${index}: x\r\n`).join("");
    expect(ownHeaders((await ask(edge, HOST, "/", many)).seen)).toEqual({
      "x-hopgate-backend": "kb",
      "x-hopgate-path": "ingress",
    });
    expect(ownHeaders((await ask(edge, HOST, "/healthz/ready", many + FORGED)).seen)).toEqual({});
  });

  it("what no route matches is left alone but timed", async () => {
    const { seen, timing } = await ask(edge, "other.example", "/x", "Authorization: Bearer mine\r\n");
    expect(seenHeader(seen, "authorization")).toEqual(["Bearer mine"]);
    expect(seenHeader(seen, "x-serverless-authorization")).toEqual([]);
    expect(timing).toEqual([expect.stringMatching(/^ingress;dur=[\d.]+, ingress-upstream;dur=[\d.]+$/)]);
  });

  it("a bypassed path has no token, no timing and no count; any other path has", async () => {
    const count = async (): Promise<number> =>
      (await scrape(edge.envoy.admin))
        .filter(({ name }) => name === "hopgate_requests")
        .reduce((sum, { value }) => sum + value, 0);
    const before = await count();
    for (const [host, path] of [
      [HOST, "/healthz/ready"],
      [HOST, "/healthz/ready?probe=1"],
      ["other.example", "/healthz/ready"],
      // Probes name whatever host they like.
      ["a,b", "/healthz/ready"],
      [HOST, "/kb-only"],
    ] as const) {
      const { seen, timing } = await ask(edge, host, path);
      expect(seenHeader(seen, "authorization"), path).toEqual([]);
      expect(ownHeaders(seen), path).toEqual({});
      expect(timing, path).toEqual([]);
    }
    for (const path of ["/healthz/readyx", "/healthz", "/healthz/ready/", "/HEALTHZ/ready"]) {
      expect(audienceOf(seenHeader((await ask(edge, HOST, path)).seen, "authorization")[0]), path).toBe(AUDIENCE);
    }
    // On another host the path is like any other.
    expect((await ask(edge, "other.example", "/kb-only")).timing).toHaveLength(1);
    expect(await count()).toBe(before + 5);
  });
});

const WAYPOINT_YAML = `
name: ai-platform
backends:
  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
  ledger: { cloudRun: { url: https://ledger-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
routes:
  - { hosts: [reports.ai-platform.example.internal], to: reports, open: a test }
  - { hosts: [ledger.ai-platform.example.internal], to: ledger, open: a test }
hops:
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint } }
`;

describe.skipIf(envoyPath === "")("a waypoint", () => {
  let mesh: MeshUnderTest;

  beforeAll(async () => {
    mesh = await startMesh({ envoyPath, yaml: WAYPOINT_YAML });
  });

  afterAll(() => mesh.close());

  it("serves the service of the address, whatever host the client names", async () => {
    const vips = virtualIps(parseMesh(WAYPOINT_YAML, "test.yaml"));
    const hosts = ["reports-abc123-uc.a.run.app", "ledger-abc123-uc.a.run.app"];
    for (const service of hosts) {
      const vip = `${vips.get(service) ?? ""}:80`;
      for (const host of [...hosts, "nobody.example", "a,b", "127.0.0.1:1"]) {
        const { status, body } = await requestByTunnel(mesh, "agents", "ingress", vip, { host });
        expect(status, `${host} at ${service}`).toBe(200);
        const { identity } = JSON.parse(body) as AgentReport;
        expect(
          identity.map(({ audience }) => audience),
          `${host} at ${service}`,
        ).toEqual([`https://${service}`]);
      }
    }
  });

  it("tells the hop in front its time, and nobody the caller's own idea of it", async () => {
    const vip = `${virtualIps(parseMesh(WAYPOINT_YAML, "test.yaml")).get("reports-abc123-uc.a.run.app") ?? ""}:80`;
    const forged = { host: "x", "x-hopgate-timing": "fake;dur=1.000" };
    const { headers } = await requestByTunnel(mesh, "agents", "ingress", vip, forged);
    expect(headers["x-hopgate-timing"]).toMatch(
      /^agents;dur=[\d.]+, agents-upstream;dur=[\d.]+(, agents-wait;dur=[\d.]+)?$/,
    );
  });
});

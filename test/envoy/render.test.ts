import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend, Mesh } from "../../shim/config/model.js";
import { type CertificateAuthority, createCertificateAuthority } from "../../shim/local/ca.js";
import { type LocalServer, startHttpServer } from "../../shim/local/server.js";
import { renderGateway } from "../../shim/render/envoy/gateway.js";
import type { Endpoint, EnvoyFile, KeyPair } from "../../shim/render/envoy/input.js";
import { workloadIdentity } from "../../shim/render/envoy/names.js";
import { virtualIps } from "../../shim/render/envoy/vips.js";
import { renderWaypoint } from "../../shim/render/envoy/waypoint.js";
import { agents, cloudRun, gatewayInput, ingress, kubernetes, meshOf, route, waypointInput } from "../unit/render/envoy/sample.js";

/**
 * The rendered configurations in two real Envoys. In the place of our filter stands one in Lua that takes the caller's
 * word for the backend (`x-choose`) and leaves its mark (`x-passed`): what is tested here is the rendering.
 */

const envoyPath = process.env.ENVOY_PATH;

const llm = kubernetes("llm");
const kb = cloudRun("kb");
const impostor = cloudRun("impostor");
const reports = cloudRun("reports", { through: "agents" });
const vectors = kubernetes("vectors", { port: 6333, through: "agents" });
const mesh = meshFor([llm, kb, impostor, reports, vectors]);

/** A mesh with a route of its own for each backend, `NAME.example.internal`. */
function meshFor(backends: readonly Backend[]): Mesh {
  return meshOf(
    backends,
    backends.map(({ name }) => route(`${name}.example.internal`, name)),
  );
}

/** What a server saw of a request, which is also its answer. */
interface Seen {
  readonly server: string;
  readonly host: string;
  readonly passed: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface RunningHop {
  readonly admin: string;
  readonly port: number;
  readonly process: ChildProcess;
}

describe.skipIf(envoyPath === undefined)("the rendered mesh in two Envoys", () => {
  const servers: LocalServer[] = [];
  const hops: RunningHop[] = [];
  let folder: string;
  let authority: CertificateAuthority;
  let endpoints: ReadonlyMap<string, Endpoint>;
  let gateway: RunningHop;
  let waypoint: RunningHop;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hopgate-render-"));
    authority = await createCertificateAuthority();
    await writeFile(join(folder, "ca.pem"), authority.certificate);
    for (const hop of [ingress, agents]) await certificate(hop.name, { spiffeId: workloadIdentity(hop) });
    await certificate("serving", { dnsNames: ["*.example.internal"] });
    endpoints = await startServers();

    waypoint = await startHop("agents", agentsFiles(mesh), "connect_terminate");
    gateway = await startHop("ingress", ingressFiles(mesh), "0.0.0.0_8443");
  }, 30_000);

  afterAll(async () => {
    for (const { process } of hops) {
      const exited = process.exitCode === null ? once(process, "exit") : undefined;
      process.kill("SIGKILL");
      await exited;
    }
    await Promise.all(servers.map((server) => server.close()));
    await rm(folder, { recursive: true, force: true });
  });

  it("is taken by Envoy without a warning", async () => {
    for (const hop of ["ingress", "agents"]) expect(await readFile(join(folder, hop, "stderr"), "utf8")).toBe("");
  });

  it("leads to a service in the cluster, and keeps the caller's host", async () => {
    const { status, body } = await ask("llm.example.internal", "llm");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ server: "cluster", host: "llm.example.internal", passed: "ingress" });
  });

  it("leads to Cloud Run over TLS, by the service's own host", async () => {
    const { status, body } = await ask("kb.example.internal", "kb");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ server: "run", host: kb.host, passed: "ingress" });
  });

  it("does not talk to a server whose certificate has another name", async () => {
    const { status } = await ask("impostor.example.internal", "impostor");
    expect(status).toBe(503);
  });

  it("leads through HBONE and the waypoint to Cloud Run", async () => {
    const { status, body } = await ask("reports.example.internal", "reports");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ server: "run", host: reports.host, passed: "ingress,agents" });
  });

  it("leads through HBONE to a service in the cluster, on another port", async () => {
    const { status, body } = await ask("vectors.example.internal", "vectors");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ server: "cluster", host: "vectors.example.internal", passed: "ingress,agents" });
  });

  it("knows no host that no route names", async () => {
    expect((await ask("nobody.example.internal", "llm")).status).toBe(404);
  });

  it("follows no request that the filter gave no backend, or one of another route", async () => {
    expect((await ask("llm.example.internal", "")).status).toBe(404);
    expect((await ask("llm.example.internal", "kb")).status).toBe(404);
  });

  describe("the waypoint", () => {
    const vips = virtualIps(mesh);
    const toReports = `${vips.get(reports.host)}:80`;
    const toVectors = `${vips.get("vectors.vectors-ns.svc.cluster.local")}:6333`;

    it("chooses the service by the address of the tunnel, whatever host the request claims", async () => {
      const lie = { host: reports.host, choose: "vectors" };
      const { body } = await tunnel(toVectors, "ingress", lie);
      expect(JSON.parse(body)).toEqual({ server: "cluster", host: reports.host, passed: "agents" });
      expect((await tunnel(toReports, "ingress", lie)).status).toBe(404);
    });

    it("opens no tunnel to a service or port that is not bound to it", async () => {
      const toLlm = `${vips.get("llm.llm-ns.svc.cluster.local")}:80`;
      const request = { host: "llm.example.internal", choose: "llm" };
      await expect(tunnel(toLlm, "ingress", request)).rejects.toThrow("CONNECT 503");
      await expect(tunnel(toVectors.replace("6333", "80"), "ingress", request)).rejects.toThrow("CONNECT 503");
    });

    it("opens no tunnel to a stranger", async () => {
      await certificate("stranger", { spiffeId: "spiffe://other.example/ns/agents-ns/sa/waypoint" });
      const request = { host: reports.host, choose: "reports" };
      await expect(tunnel(toReports, "stranger", request)).rejects.toThrow(/certificate/i);
      await expect(tunnel(toReports, undefined, request)).rejects.toThrow(/certificate/i);
    });
  });

  it("takes a change while it runs, on the same ports, and lets a stream that is open go on", async () => {
    const stream = await openStream("reports.example.internal", "reports");
    const search = kubernetes("search", { through: "agents" });
    const changed = meshFor([...mesh.backends.values(), search]);
    const cluster = endpoints.get("llm");
    if (cluster === undefined) throw new Error("no cluster");
    endpoints = new Map([...endpoints, ["search", cluster] as const]);

    await publish("agents", agentsFiles(changed));
    await publish("ingress", ingressFiles(changed));
    await expect.poll(async () => (await ask("search.example.internal", "search")).status).toBe(200);

    expect(await stream.next()).toBe("second");
  });

  function ingressFiles(of: Mesh): readonly EnvoyFile[] {
    return renderGateway(
      gatewayInput(of, {
        workDir: join(folder, "ingress"),
        backends: endpoints,
        identity: { ...pemFiles("ingress"), caFile: join(folder, "ca.pem") },
        serving: pemFiles("serving"),
        waypointPorts: new Map([["agents", waypoint.port]]),
      }),
    );
  }

  function agentsFiles(of: Mesh): readonly EnvoyFile[] {
    return renderWaypoint(
      waypointInput(of, {
        workDir: join(folder, "agents"),
        backends: endpoints,
        identity: { ...pemFiles("agents"), caFile: join(folder, "ca.pem") },
      }),
    );
  }

  function pemFiles(name: string): KeyPair {
    return { certificateFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  }

  async function certificate(name: string, request: Parameters<CertificateAuthority["issue"]>[0]): Promise<void> {
    const issued = await authority.issue(request);
    await writeFile(pemFiles(name).certificateFile, issued.certificate);
    await writeFile(pemFiles(name).keyFile, issued.key);
  }

  /** One server in the cluster, one that is Cloud Run, and one that pretends to be it. */
  async function startServers(): Promise<ReadonlyMap<string, Endpoint>> {
    const runTls = await authority.issue({ dnsNames: [kb.host, reports.host] });
    const otherTls = await authority.issue({ dnsNames: ["other-abc123-uc.a.run.app"] });
    const cluster = await startServer("cluster");
    const run = await startServer("run", runTls);
    const pretender = await startServer("pretender", otherTls);
    const tls = (name: string) => ({ name, caFile: join(folder, "ca.pem") });
    return new Map<string, Endpoint>([
      ["llm", { address: "localhost", port: cluster.port }],
      ["vectors", { address: "127.0.0.1", port: cluster.port }],
      ["kb", { address: "127.0.0.1", port: run.port, tls: tls(kb.host) }],
      ["reports", { address: "127.0.0.1", port: run.port, tls: tls(reports.host) }],
      ["impostor", { address: "127.0.0.1", port: pretender.port, tls: tls(impostor.host) }],
    ]);
  }

  async function startServer(name: string, tls?: Awaited<ReturnType<CertificateAuthority["issue"]>>) {
    const server = await startHttpServer(
      (request, response) => {
        const seen: Seen = {
          server: name,
          host: (request.headers.host ?? "").replace(/:\d+$/, ""),
          passed: String(request.headers["x-passed"]),
        };
        if (request.url !== "/stream") return void response.end(JSON.stringify(seen));
        response.write("first");
        release = () => response.end("second");
      },
      { tls },
    );
    servers.push(server);
    return server;
  }
  let release: () => void = () => undefined;
});

import { once } from "node:events";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2 from "node:http2";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend, Mesh } from "../../shim/config/model.js";
import { type Keeper, openKeeper } from "../../shim/envoy/keeper.js";
import { startEnvoy } from "../../shim/envoy/start.js";
import { type CertificateAuthority, createCertificateAuthority } from "../../shim/local/ca.js";
import { type LocalServer, startHttpServer, type TlsIdentity } from "../../shim/local/server.js";
import { renderGateway } from "../../shim/render/envoy/gateway.js";
import { BOOTSTRAP_FILE, type Endpoint, type EnvoyFile, type KeyPair } from "../../shim/render/envoy/input.js";
import { extension } from "../../shim/render/envoy/json.js";
import { workloadIdentity } from "../../shim/render/envoy/names.js";
import { virtualIps } from "../../shim/render/envoy/vips.js";
import { renderWaypoint } from "../../shim/render/envoy/waypoint.js";
import { request } from "../../shim/trace/client.js";
import { realEnvoy } from "../support/real-envoy.js";
import {
  agents,
  cloudRun,
  gatewayInput,
  ingress,
  kubernetes,
  meshOf,
  route,
  waypointInput,
} from "../unit/render/envoy/sample.js";

/**
 * The rendered configurations in two real Envoys. In the place of our filter stands one in Lua that takes the caller's
 * word for the backend (`x-choose`) and leaves its mark (`x-passed`): what is tested here is the rendering.
 */

const envoyPath = await realEnvoy();

const llm = kubernetes("llm");
const kb = cloudRun("kb");
const impostor = cloudRun("impostor");
const reports = cloudRun("reports", { through: "agents" });
const vectors = kubernetes("vectors", { port: 6333, through: "agents" });
const search = kubernetes("search", { through: "agents" });
const mesh = meshFor([llm, kb, impostor, reports, vectors]);

/** A mesh with a route of its own for each backend, `NAME.example.internal`. */
function meshFor(backends: readonly Backend[]): Mesh {
  return meshOf(
    backends,
    backends.map(({ name }) => route(`${name}.example.internal`, name)),
  );
}

let keeper: Keeper;
let folder: string;
let authority: CertificateAuthority;
let endpoints: ReadonlyMap<string, Endpoint>;
const servers: LocalServer[] = [];
let gatewayPort: number;
let waypointPort: number;
/** Lets the answer to `/stream` end. */
let endStream: () => void;

describe.skipIf(envoyPath === undefined)("the rendered mesh in two Envoys", () => {
  beforeAll(async () => {
    keeper = await openKeeper();
    folder = keeper.workDir;
    authority = await createCertificateAuthority();
    await writeFile(join(folder, "ca.pem"), authority.certificate);
    for (const hop of [ingress, agents]) await issue(hop.name, { spiffeId: workloadIdentity(hop) });
    await issue("serving", { dnsNames: ["*.example.internal"] });
    await startServers();

    waypointPort = await startHop("agents", agentsFiles(mesh), "connect_terminate");
    gatewayPort = await startHop("ingress", ingressFiles(mesh), "0.0.0.0_8443");
  }, 30_000);

  afterAll(async () => {
    await Promise.all([keeper.close(), ...servers.map((server) => server.close())]);
  });

  it("is taken by Envoy without a warning", async () => {
    for (const hop of ["ingress", "agents"])
      expect(await readFile(join(folder, hop, "log", "envoy.log"), "utf8")).toBe("");
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
    expect((await ask("impostor.example.internal", "impostor")).status).toBe(503);
  });

  it("leads through HBONE and the waypoint to Cloud Run", async () => {
    const { status, body } = await ask("reports.example.internal", "reports");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ server: "run", host: reports.host, passed: "ingress, agents" });
  });

  it("leads through HBONE to a service in the cluster, on a port of its own", async () => {
    const { status, body } = await ask("vectors.example.internal", "vectors");
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      server: "cluster",
      host: "vectors.example.internal",
      passed: "ingress, agents",
    });
  });

  it("knows no host that no route names", async () => {
    expect((await ask("nobody.example.internal", "llm")).status).toBe(404);
  });

  it("follows no request that the filter gave no backend, or the backend of another route", async () => {
    expect((await ask("llm.example.internal", "")).status).toBe(404);
    expect((await ask("llm.example.internal", "kb")).status).toBe(404);
  });

  it("chooses the service of a tunnel by its address, whatever host the request claims", async () => {
    const lie = { host: reports.host, "x-choose": "vectors" };
    const answer = await askThroughTunnel(vip("vectors.vectors-ns.svc.cluster.local", 6333), "ingress", lie);
    expect(JSON.parse(answer.body)).toEqual({ server: "cluster", host: reports.host, passed: "agents" });
    expect((await askThroughTunnel(vip(reports.host, 80), "ingress", lie)).status).toBe(404);
  });

  it("opens no tunnel to a service or port that is not bound to the waypoint", async () => {
    const headers = { host: "llm.example.internal", "x-choose": "llm" };
    const notBound = vip("llm.llm-ns.svc.cluster.local", 80);
    await expect(askThroughTunnel(notBound, "ingress", headers)).rejects.toThrow("CONNECT 503");
    const otherPort = vip("vectors.vectors-ns.svc.cluster.local", 80);
    await expect(askThroughTunnel(otherPort, "ingress", headers)).rejects.toThrow("CONNECT 503");
  });

  it("opens no tunnel to who is not of the mesh", async () => {
    await issue("stranger", { spiffeId: "spiffe://other.example/ns/agents-ns/sa/waypoint" });
    const headers = { host: reports.host, "x-choose": "reports" };
    for (const caller of ["stranger", undefined]) {
      await expect(askThroughTunnel(vip(reports.host, 80), caller, headers)).rejects.toThrow(/certificate/i);
    }
  });

  it("takes a change while it runs, and lets a stream that is open go on", async () => {
    const stream = ask("reports.example.internal", "reports", "/stream");
    await expect.poll(() => endStream).toBeTypeOf("function");

    const changed = meshFor([...mesh.backends.values(), search]);
    await publish("agents", agentsFiles(changed));
    await publish("ingress", ingressFiles(changed));
    await expect.poll(async () => (await ask("search.example.internal", "search")).status).toBe(200);

    endStream();
    expect((await stream).body).toBe("first second");
  });
});

function vip(host: string, port: number): string {
  return `${virtualIps(mesh).get(host) ?? "none"}:${port}`;
}

/** A request to the gateway, for which the filter's stand-in chooses `backend`. */
async function ask(host: string, backend: string, path = "/"): Promise<{ status: number; body: string }> {
  return request({
    url: `https://${host}${path}`,
    connectTo: { host: "127.0.0.1", port: gatewayPort },
    ca: authority.certificate,
    headers: { "x-choose": backend },
  });
}

/** A request inside a tunnel to `destination`, opened at the waypoint with the certificate of `caller`. */
async function askThroughTunnel(
  destination: string,
  caller: string | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<{ status: number; body: string }> {
  const identity = caller === undefined ? {} : await pemOf(caller);
  const session = http2.connect(`https://127.0.0.1:${waypointPort}`, {
    ca: authority.certificate,
    // The waypoint has no DNS name, only a SPIFFE ID.
    checkServerIdentity: () => undefined,
    ...identity,
  });
  try {
    const failed = once(session, "error").then(([cause]) => Promise.reject(cause as Error));
    const stream = session.request({ ":method": "CONNECT", ":authority": destination });
    const [opened] = (await Promise.race([once(stream, "response"), failed])) as [http2.IncomingHttpStatusHeader];
    if (opened[":status"] !== 200) throw new Error(`CONNECT ${opened[":status"] ?? "unanswered"}`);
    const inner = http.get({ createConnection: () => stream, headers: { connection: "close", ...headers } });
    const [response] = (await once(inner, "response")) as [IncomingMessage];
    return { status: response.statusCode ?? 0, body: await text(response) };
  } finally {
    session.destroy();
  }
}

function ingressFiles(of: Mesh): readonly EnvoyFile[] {
  return renderGateway(
    gatewayInput(of, {
      workDir: join(folder, "ingress"),
      backends: endpoints,
      identity: { ...pemFiles("ingress"), caFile: join(folder, "ca.pem") },
      serving: pemFiles("serving"),
      waypointPorts: new Map([["agents", waypointPort]]),
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

async function pemOf(name: string): Promise<{ cert: string; key: string }> {
  const { certificateFile, keyFile } = pemFiles(name);
  return { cert: await readFile(certificateFile, "utf8"), key: await readFile(keyFile, "utf8") };
}

async function issue(name: string, names: Parameters<CertificateAuthority["issue"]>[0]): Promise<void> {
  const { certificate, key } = await authority.issue(names);
  await writeFile(pemFiles(name).certificateFile, certificate);
  await writeFile(pemFiles(name).keyFile, key);
}

/** One server in the cluster, one that is Cloud Run, and one in the place of Cloud Run with another's certificate. */
async function startServers(): Promise<void> {
  const cluster = await startServer("cluster");
  const run = await startServer("run", await authority.issue({ dnsNames: [kb.host, reports.host] }));
  const pretender = await startServer("pretender", await authority.issue({ dnsNames: ["other-abc123-uc.a.run.app"] }));
  const tls = (name: string) => ({ name, caFile: join(folder, "ca.pem") });
  endpoints = new Map<string, Endpoint>([
    ["llm", { address: "localhost", port: cluster.port }],
    ["vectors", { address: "127.0.0.1", port: cluster.port }],
    ["search", { address: "127.0.0.1", port: cluster.port }],
    ["kb", { address: "127.0.0.1", port: run.port, tls: tls(kb.host) }],
    ["reports", { address: "127.0.0.1", port: run.port, tls: tls(reports.host) }],
    ["impostor", { address: "127.0.0.1", port: pretender.port, tls: tls(impostor.host) }],
  ]);
}

async function startServer(server: string, tls?: TlsIdentity): Promise<LocalServer> {
  const started = await startHttpServer((incoming, response) => answer(server, incoming, response), { tls });
  servers.push(started);
  return started;
}

/** Answers what the server saw; `/stream` holds its answer open. */
function answer(server: string, { url, headers }: IncomingMessage, response: ServerResponse): void {
  if (url === "/stream") {
    response.write("first ");
    endStream = () => {
      response.end("second");
    };
  } else {
    response.end(JSON.stringify({ server, host: headers.host, passed: headers["x-passed"] }));
  }
}

/** Starts the hop and returns the port of its `listener`. */
async function startHop(hop: string, files: readonly EnvoyFile[], listener: string): Promise<number> {
  if (envoyPath === undefined) throw new Error("no Envoy");
  const dir = join(folder, hop);
  await mkdir(dir);
  await publish(hop, files);
  const running = await startEnvoy({ keeper, envoyPath, hop, configPath: join(dir, BOOTSTRAP_FILE), dir });
  const address = running.listeners.get(listener);
  if (address === undefined) throw new Error(`no ${listener}`);
  return address.port;
}

/** Writes files as a running Envoy wants them: renamed into place, with the stand-in for the filter. */
async function publish(hop: string, files: readonly EnvoyFile[]): Promise<void> {
  for (const { name, content } of files) {
    const path = join(folder, hop, name);
    await writeFile(`${path}.new`, withStandIn(hop, name, JSON.stringify(content)));
    await rename(`${path}.new`, path);
  }
}

const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";
const LUA = "envoy.extensions.filters.http.lua.v3.Lua";

function withStandIn(hop: string, file: string, content: string): string {
  if (file !== "ecds.json") return content.replaceAll(WASM, LUA);
  const parsed = JSON.parse(content) as { resources: [{ name: string }] };
  const code = `function envoy_on_request(handle)
    local headers = handle:headers()
    headers:add("x-passed", "${hop}")
    headers:replace("x-hopgate-backend", headers:get("x-choose"))
  end`;
  const lua = extension(parsed.resources[0].name, LUA, { default_source_code: { inline_string: code } });
  return JSON.stringify({
    resources: [{ "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", ...lua }],
  });
}

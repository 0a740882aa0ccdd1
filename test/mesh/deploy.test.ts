import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../shim/local/ca.js";
import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer } from "../../shim/local/server.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { type Seen, seenHeader, startEcho } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { Box } from "./box/box.js";
import { CALLER, deployToCloudRun, startGoogle } from "./box/google.js";
import type { Mesh } from "./box/mesh.js";
import type { Proxy } from "./box/proxy.js";
import { type Ran, Workplace } from "./deployment.js";
import { tlsSecret } from "./resources.js";

const programs = await meshPrograms();

const KB_HOST = "kb-abc123-uc.a.run.app";
const REPORTS_HOST = "reports-abc123-uc.a.run.app";

const FILE = `name: shop
backends:
  llm: { kubernetes: { service: llm, namespace: llm, port: 80 } }
  kb: { cloudRun: { url: https://${KB_HOST}, via: serviceEntry } }
  reports: { cloudRun: { url: https://${REPORTS_HOST}, via: serviceEntry }, through: agents }
routes:
  - { hosts: [llm.example.internal], to: llm }
  - { hosts: [kb.example.internal], to: kb, open: a test }
  - { hosts: [reports.example.internal], to: reports, open: a test }
hops:
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint } }
timing: { expose: always }
`;

/** Who runs the commands: may do what \`hopgate render --rbac\` says, and nothing else. */
const DEPLOYER = "deployer";

describe.skipIf(programs === undefined)("hopgate deploy, to a gateway and a waypoint", () => {
  let box: Box;
  let mesh: Mesh;
  let ingress: Proxy;
  let echo: LocalServer;
  let cloudRun: CloudRun;
  let work: Workplace;
  let ca: string;
  let image: string;
  let kubeconfig: string;

  const hopgate = (command: string, ...args: readonly string[]): Promise<Ran> =>
    work.run(command, ...args, "--kubeconfig", kubeconfig);

  const deploy = (...args: readonly string[]): Promise<Ran> =>
    hopgate("deploy", "--image", image, "--plain-http", ...args);

  const send = (name: string): Promise<ClientResponse> =>
    request({ url: `https://${name}.example.internal/`, connectTo: { host: ingress.address, port: 443 }, ca });

  beforeAll(async () => {
    if (programs === undefined) return;
    work = await Workplace.open();
    await work.write("hopgate.yaml", FILE);
    box = await Box.open(programs);
    mesh = await box.startMesh("mesh");
    echo = await startEcho();
    const google = await startGoogle(box.outside);
    const service = (host: string) => ({ audiences: [`https://${host}`], invokers: [CALLER], container: echo.origin });
    cloudRun = await deployToCloudRun(box.outside, google, {
      [KB_HOST]: service(KB_HOST),
      [REPORTS_HOST]: service(REPORTS_HOST),
    });
    await mesh.startService({ name: "llm", namespace: "llm", port: 80, servers: [echo] });
    ingress = await mesh.startProxy({
      kind: "gateway",
      name: "ingress",
      namespace: "istio-ingress",
      labels: { istio: "ingressgateway" },
    });
    await mesh.startProxy({ kind: "waypoint", name: "waypoint", namespace: "agents" });
    const authority = await createCertificateAuthority();
    ca = authority.certificate;
    await mesh.cluster.apply([
      tlsSecret("istio-ingress", "shop-tls", await authority.issue({ dnsNames: ["*.example.internal"] })),
    ]);
    const pushed = await work.run("push", `${box.registry.host}/hopgate/filter`, "--plain-http");
    expect(pushed.stderr).toContain("read back");
    image = pushed.stdout.trim();
    kubeconfig = await mesh.cluster.writeKubeconfig("deployer", { user: DEPLOYER });
    const roles = await work.run("render", "--image", image, "--rbac");
    await mesh.cluster.apply(
      roles.stdout.replaceAll("kind: Group", "kind: User").replaceAll("shop-deployers", DEPLOYER),
    );
  }, 120_000);

  afterAll(async () => {
    await box.close();
    await echo.close();
    await work.close();
  });

  it("says that nothing would be refused, and changes nothing, with a dry run", async () => {
    const client = await deploy("--dry-run", "client");
    expect(client).toMatchObject({ code: 0 });
    const server = await deploy("--dry-run", "server");
    expect(server.stderr).toBe("");
    expect(server.code).toBe(0);
    expect(server.stdout).toContain("WasmPlugin istio-ingress/shop-ingress created (server dry run)");
    expect(await mesh.cluster.kubectl(["get", "wasmplugins", "-A"])).toBe("");
  });

  it("brings it to every proxy, in less than ten seconds", async () => {
    const startMs = performance.now();
    const { code, stdout, stderr } = await deploy();
    const seconds = (performance.now() - startMs) / 1000;
    process.stderr.write(`deploy took ${seconds.toFixed(1)} s\n${stderr}${stdout}`);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("revision 1 deployed, ingress runs it in 1 proxy, agents runs it in 1 proxy");
    expect(seconds).toBeLessThan(10);
    const llm = await eventually(async () => {
      const response = await send("llm").catch(() => undefined);
      return response?.status === 200 ? response : undefined;
    });
    expect(seenHeader(JSON.parse(llm.body) as Seen, "x-hopgate-path")).toEqual(["ingress"]);
    for (const [name, path] of [
      ["kb", "ingress"],
      ["reports", "ingress,agents"],
    ] as const) {
      const response = await eventually(async () => {
        const answer = await send(name);
        return answer.status === 200 ? answer : undefined;
      });
      const seen = JSON.parse(response.body) as Seen;
      expect(seenHeader(seen, "x-hopgate-path")).toEqual([path]);
      expect(seenHeader(seen, "authorization")[0]).toMatch(/SIGNATURE_REMOVED_BY_GOOGLE$/);
    }
    expect(cloudRun.requests.at(-1)).toMatchObject({ host: REPORTS_HOST, outcome: "forwarded" });
  });

  it("changes nothing the second time", async () => {
    const { code, stdout } = await deploy();
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("revision 1 unchanged") as string });
  });
});

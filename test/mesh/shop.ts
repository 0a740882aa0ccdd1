import { readFile } from "node:fs/promises";

import { expect } from "vitest";

import { createCertificateAuthority } from "../../shim/local/ca.js";
import type { CloudRunService } from "../../shim/local/cloud-run-access.js";
import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer, TlsIdentity } from "../../shim/local/server.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { startEcho } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { Box, type Programs } from "./box/box.js";
import { run } from "./box/command.js";
import { CALLER, deployToCloudRun, type Google, startGoogle } from "./box/google.js";
import type { Mesh } from "./box/mesh.js";
import type { Proxy } from "./box/proxy.js";
import { type Ran, Workplace } from "./deployment.js";
import { tlsSecret } from "./resources.js";

/** A mesh for `hopgate deploy`: an ingress gateway, a waypoint, a service in the cluster and two on Cloud Run. */

const KB_HOST = "kb-abc123-uc.a.run.app";
export const REPORTS_HOST = "reports-abc123-uc.a.run.app";

export const SHOP = `name: shop
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

/** The same with a change of routes and of both plugins. */
const CHANGED_SHOP = SHOP.replace("[llm.example.internal]", "[llm.example.internal, more.example.internal]").replace(
  "timing: { expose: always }\n",
  "",
);

/** Who runs the commands: may do what `hopgate render --rbac` says, and nothing else. */
const DEPLOYER = "deployer";

/** The kinds that hopgate makes, beside Services and the Secrets of its revisions. */
const KINDS = [
  "wasmplugins.extensions.istio.io",
  "trafficextensions.extensions.istio.io",
  "virtualservices",
  "httproutes",
  "referencegrants",
  "serviceentries",
  "destinationrules",
  "envoyfilters",
  "gateways.networking.istio.io",
  "authorizationpolicies",
];

export class Shop {
  private constructor(
    readonly box: Box,
    readonly mesh: Mesh,
    readonly work: Workplace,
    readonly ingress: Proxy,
    readonly waypoint: Proxy,
    readonly cloudRun: CloudRun,
    private readonly google: Google,
    private readonly echo: LocalServer,
    /** Certificate and key of the gateway. */
    private readonly identity: TlsIdentity,
    /** Their root. */
    readonly ca: string,
    /** Reference of the filter's image, with its digest. */
    readonly image: string,
    /** Of the deployer. */
    readonly kubeconfig: string,
  ) {}

  static async open(programs: Programs): Promise<Shop> {
    const [box, work, echo] = [await Box.open(programs), await Workplace.open(), await startEcho()];
    const mesh = await box.startMesh("one");
    const google = await startGoogle(box.outside);
    const service = (host: string): CloudRunService => ({
      audiences: [`https://${host}`],
      invokers: [CALLER],
      container: echo.origin,
    });
    const services = { [KB_HOST]: service(KB_HOST), [REPORTS_HOST]: service(REPORTS_HOST) };
    const cloudRun = await deployToCloudRun(box.outside, google, services);
    const authority = await createCertificateAuthority();
    const identity = await authority.issue({ dnsNames: ["*.example.internal"] });
    const { ingress, waypoint } = await Shop.furnish(mesh, echo, identity);
    await work.write("hopgate.yaml", SHOP);
    const pushed = await work.run("push", `${box.registry.host}/hopgate/filter`, "--plain-http");
    const [image, kubeconfig] = [pushed.stdout.trim(), await mesh.cluster.writeKubeconfig("user", { user: DEPLOYER })];
    const ca = authority.certificate;
    const shop = new Shop(box, mesh, work, ingress, waypoint, cloudRun, google, echo, identity, ca, image, kubeconfig);
    await shop.grant(mesh);
    return shop;
  }

  /** With `hopgate.yaml` deployed, and a `more.yaml` that is another. */
  static async openDeployed(programs: Programs): Promise<Shop> {
    const shop = await Shop.open(programs);
    await shop.work.write("more.yaml", CHANGED_SHOP);
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    return shop;
  }

  /** What has to be in a cluster before `hopgate deploy`. */
  private static async furnish(
    mesh: Mesh,
    echo: LocalServer,
    identity: TlsIdentity,
  ): Promise<{ ingress: Proxy; waypoint: Proxy }> {
    await mesh.startService({ name: "llm", namespace: "llm", port: 80, servers: [echo] });
    const ingress = await mesh.startProxy({
      kind: "gateway",
      name: "ingress",
      namespace: "istio-ingress",
      labels: { istio: "ingressgateway" },
      extraStatTags: ["hop", "backend", "result", "config", "module"],
    });
    // Without stat tags: what it runs has to be read out of the names of its metrics.
    const waypoint = await mesh.startProxy({ kind: "waypoint", name: "waypoint", namespace: "agents" });
    await mesh.cluster.apply([tlsSecret("istio-ingress", "shop-tls", identity)]);
    return { ingress, waypoint };
  }

  /** Another cluster that is the same, with the same deployer. Returns its kubeconfig too. */
  async another(name: string): Promise<{ readonly mesh: Mesh; readonly kubeconfig: string }> {
    const mesh = await this.box.startMesh(name);
    await Shop.furnish(mesh, this.echo, this.identity);
    await this.grant(mesh);
    return { mesh, kubeconfig: await mesh.cluster.writeKubeconfig("user", { user: DEPLOYER }) };
  }

  /** Starts a gateway of the Gateway API, with the certificate for it. */
  async startEdge(): Promise<Proxy> {
    const edge = await this.mesh.startProxy({ kind: "gatewayApi", name: "edge", namespace: "edge" });
    await this.mesh.cluster.apply([tlsSecret("edge", "shop-tls", this.identity)]);
    return edge;
  }

  /** Lets the deployer do what `hopgate render --rbac` says. */
  async grant(mesh: Mesh, file = "hopgate.yaml", ...args: readonly string[]): Promise<void> {
    await mesh.cluster.apply(await this.roles("-c", file, ...args));
  }

  /** All that the deployer needs to bring one of several files after the other. */
  async grantAll(files: readonly string[]): Promise<void> {
    const all = await Promise.all(files.map((file) => this.roles("-c", file, "-o", "json")));
    const merged = new Map<string, { rules?: object[] }>();
    for (const text of all) {
      const { items } = JSON.parse(text) as {
        items: { kind: string; metadata: { namespace: string }; rules?: object[] }[];
      };
      for (const item of items) {
        const key = `${item.kind} ${item.metadata.namespace}`;
        const rules = [...(merged.get(key)?.rules ?? []), ...(item.rules ?? [])];
        merged.set(key, item.rules === undefined ? item : { ...item, rules });
      }
    }
    await this.mesh.cluster.apply([...merged.values()]);
  }

  async roles(...args: readonly string[]): Promise<string> {
    const { stdout } = await this.work.run("render", "--rbac", "--image", this.image, ...args);
    return stdout.replace(/(kind"?: "?)Group/g, "$1User").replaceAll("shop-deployers", DEPLOYER);
  }

  /** Pushes another module. Returns the image's reference with its digest. */
  async push(tag: string, module: Uint8Array): Promise<string> {
    const file = await this.work.write(`${tag}.wasm`, module);
    const reference = `${this.box.registry.host}/hopgate/filter:${tag}`;
    const { stdout, stderr } = await this.work.run("push", reference, "--module", file, "--plain-http");
    expect(stderr).toContain("read back");
    return stdout.trim();
  }

  /** The contexts of several kubeconfigs in one. Returns its path. */
  async mergedKubeconfig(paths: readonly string[]): Promise<string> {
    const all = await Promise.all(
      paths.map(async (path) => JSON.parse(await readFile(path, "utf8")) as Record<string, unknown[]>),
    );
    const of = (key: string): unknown[] => all.flatMap((config) => config[key] ?? []);
    const merged = { ...all[0], clusters: of("clusters"), users: of("users"), contexts: of("contexts") };
    return this.work.write("kubeconfig", JSON.stringify(merged));
  }

  /** A command on the cluster, as the deployer. */
  hopgate(command: string, ...args: readonly string[]): Promise<Ran> {
    return this.work.run(command, ...args, "--kubeconfig", this.kubeconfig);
  }

  /** Offline. @throws Failure with its complaint */
  istioctl(...args: readonly string[]): Promise<string> {
    const { binaries } = this.box.programs;
    return run(binaries.path("istioctl"), args, { env: { ...process.env, KUBECONFIG: "/dev/null" } });
  }

  /** `hopgate deploy` with the pushed image. */
  deploy(...args: readonly string[]): Promise<Ran> {
    return this.hopgate("deploy", ...this.imageOptions, ...args);
  }

  get imageOptions(): readonly string[] {
    return ["--image", this.image, "--plain-http"];
  }

  /** As somebody outside of the mesh. */
  send(
    name: string,
    through: Proxy = this.ingress,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ClientResponse> {
    const url = `https://${name}.example.internal/`;
    return request({ url, connectTo: { host: through.address, port: 443 }, ca: this.ca, headers });
  }

  /** An ID token of `CALLER`, as a Pod of its own gets one. */
  async idToken(audience: string): Promise<string> {
    const path = `/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=${encodeURIComponent(audience)}`;
    const response = await fetch(`${this.google.metadata.origin}${path}`, { headers: { "metadata-flavor": "Google" } });
    expect(response.status).toBe(200);
    return response.text();
  }

  /** Until it is answered with that status. */
  async answered(name: string, { status = 200, through = this.ingress } = {}): Promise<ClientResponse> {
    let last: unknown;
    const answer = eventually(async () => {
      const response = await this.send(name, through).catch((error: unknown) => void (last = error));
      last = response ?? last;
      return response?.status === status ? response : undefined;
    });
    return answer.catch(() => expect.fail(`${name}: no ${String(status)}, but ${JSON.stringify(last)}`));
  }

  /** What is there of hopgate, beside the revisions: `KIND/NAME`, sorted. */
  async resources(): Promise<readonly string[]> {
    const selector = "app.kubernetes.io/managed-by=hopgate";
    const kinds = [...KINDS, "services"].join(",");
    const names = await this.mesh.cluster.kubectl(["get", kinds, "-A", "-l", selector, "-o", "name"]);
    return names
      .split("\n")
      .filter((name) => name !== "")
      .sort();
  }

  /**
   * What hopgate could have changed, with what makes each one another than it was. The status of a route is istiod's; the mark of a
   * plugin is another after whatever was undone.
   */
  async snapshot({ mesh } = { mesh: this.mesh }): Promise<readonly string[]> {
    const kinds = [...KINDS, "services", "gateways.gateway.networking.k8s.io"].join(",");
    const list = JSON.parse(await mesh.cluster.kubectl(["get", kinds, "-A", "-o", "json"])) as {
      items: { kind: string; metadata: { namespace: string; name: string; labels?: object }; spec?: object }[];
    };
    return list.items
      .map(({ kind, metadata: { namespace, name, labels }, spec }) =>
        JSON.stringify([kind, namespace, name, labels, spec]).replace(/("plugin":"[0-9a-f]+)-[0-9a-f]+"/, '$1"'),
      )
      .sort();
  }

  /** Everything is as `before`: what was deployed serves, and status says so. */
  async expectUnharmed(before: readonly string[]): Promise<void> {
    expect(await this.snapshot()).toEqual(before);
    const { code, stdout } = await this.hopgate("status");
    expect(code, stdout).toBe(0);
    for (const name of ["llm", "kb", "reports"]) await this.answered(name);
  }

  async close(): Promise<void> {
    await this.box.close();
    await this.echo.close();
    await this.work.close();
  }
}

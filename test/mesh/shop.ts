import { expect } from "vitest";
import { createCertificateAuthority } from "../../shim/local/ca.js";
import type { CloudRunService } from "../../shim/local/cloud-run-access.js";
import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer } from "../../shim/local/server.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { startEcho } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { Box, type Programs } from "./box/box.js";
import { run } from "./box/command.js";
import { CALLER, deployToCloudRun, startGoogle } from "./box/google.js";
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
    readonly cloudRun: CloudRun,
    private readonly echo: LocalServer,
    /** Root of the gateway's certificate. */
    private readonly ca: string,
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
    await mesh.startService({ name: "llm", namespace: "llm", port: 80, servers: [echo], labels: { app: "llm" } });
    const authority = await createCertificateAuthority();
    const ingress = await mesh.startProxy({
      kind: "gateway",
      name: "ingress",
      namespace: "istio-ingress",
      labels: { istio: "ingressgateway" },
      extraStatTags: ["hop", "backend", "result", "config", "module"],
    });
    // Without stat tags: what it runs has to be read out of the names of its metrics.
    await mesh.startProxy({ kind: "waypoint", name: "waypoint", namespace: "agents" });
    await mesh.cluster.apply([
      tlsSecret("istio-ingress", "shop-tls", await authority.issue({ dnsNames: ["*.example.internal"] })),
    ]);
    await work.write("hopgate.yaml", SHOP);
    const pushed = await work.run("push", `${box.registry.host}/hopgate/filter`, "--plain-http");
    const kubeconfig = await mesh.cluster.writeKubeconfig("deployer", { user: DEPLOYER });
    const { certificate } = authority;
    const shop = new Shop(box, mesh, work, ingress, cloudRun, echo, certificate, pushed.stdout.trim(), kubeconfig);
    const roles = await work.run("render", "--image", shop.image, "--rbac");
    await mesh.cluster.apply(
      roles.stdout.replaceAll("kind: Group", "kind: User").replaceAll("shop-deployers", DEPLOYER),
    );
    return shop;
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
  send(name: string): Promise<ClientResponse> {
    const url = `https://${name}.example.internal/`;
    return request({ url, connectTo: { host: this.ingress.address, port: 443 }, ca: this.ca });
  }

  /** Until it is answered with that status. */
  async answered(name: string, status = 200): Promise<ClientResponse> {
    let last: unknown;
    const answer = eventually(async () => {
      const response = await this.send(name).catch((error: unknown) => void (last = error));
      last = response ?? last;
      return response?.status === status ? response : undefined;
    });
    return answer.catch(() => expect.fail(`${name}: no ${String(status)}, but ${JSON.stringify(last)}`));
  }

  /** What is there of hopgate, beside the revisions. */
  async resources(): Promise<readonly string[]> {
    const selector = "app.kubernetes.io/managed-by=hopgate";
    const names = await this.mesh.cluster.kubectl([
      "get",
      [...KINDS, "services"].join(","),
      "-A",
      "-l",
      selector,
      "-o",
      "name",
    ]);
    return names.split("\n").filter((name) => name !== "");
  }

  /** Everything there is of hopgate, the revisions too, with its version. */
  async snapshot(): Promise<readonly string[]> {
    const columns = "custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.resourceVersion";
    const kinds = [...KINDS, "secrets", "services", "gateways.gateway.networking.k8s.io"].join(",");
    return (await this.mesh.cluster.kubectl(["get", kinds, "-A", "-o", columns, "--no-headers"])).split("\n").sort();
  }

  async close(): Promise<void> {
    await this.box.close();
    await this.echo.close();
    await this.work.close();
  }
}

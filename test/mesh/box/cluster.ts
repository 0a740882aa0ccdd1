import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import https from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { once } from "node:events";
import type { Keeper } from "../../../shim/envoy/keeper.js";
import { type CertificateAuthority, createCertificateAuthority } from "../../../shim/local/ca.js";
import { WorkFiles } from "../../../shim/local/work-files.js";
import type { Addresses } from "./addresses.js";
import type { Binaries } from "./binaries.js";
import { run } from "./command.js";
import type { Forwarder, Forwarders } from "./forwarder.js";
import { Part, until } from "./part.js";

/** What a part of the box is started with. */
export interface Surroundings {
  readonly keeper: Keeper;
  readonly binaries: Binaries;
  readonly addresses: Addresses;
  readonly forwarders: Forwarders;
  /** A folder of one part's own. */
  readonly files: WorkFiles;
}

/** A Kubernetes API without nodes: etcd and kube-apiserver. Pods, endpoints and their states are written by whoever needs them. */
export class Cluster {
  readonly apiServer: Part;
  readonly etcd: Part;
  /** That of the control plane, such as `10.77.0.2`. */
  readonly address: string;
  /** Such as `https://10.77.0.2:6443`. */
  readonly url: string;
  /** Of a user who may do everything. */
  readonly kubeconfigPath: string;
  private readonly token = randomBytes(16).toString("hex");
  private ca = "";

  constructor(
    readonly name: string,
    readonly surroundings: Surroundings,
  ) {
    const { keeper, binaries, addresses, files } = surroundings;
    const address = addresses.next();
    this.address = address;
    this.url = `https://${address}:6443`;
    this.kubeconfigPath = files.path("kubeconfig");
    const client = `http://${address}:2379`;
    const peer = `http://${address}:2380`;
    const part = (name: string, file: string, args: readonly string[], isReady: () => Promise<boolean>): Part =>
      new Part(name, keeper, { file, args, cwd: files.path(""), logPath: files.path(`${name}.log`) }, isReady);
    this.etcd = part(
      "etcd",
      binaries.path("etcd"),
      [
        ["--data-dir", files.path("etcd")],
        ["--listen-client-urls", client],
        ["--advertise-client-urls", client],
        ["--listen-peer-urls", peer],
        ["--initial-advertise-peer-urls", peer],
        ["--initial-cluster", `default=${peer}`],
        // What it holds goes with the box.
        ["--unsafe-no-fsync"],
      ].flat(),
      async () => (await fetch(`${client}/health`)).ok,
    );
    const pki = (file: string): string => files.path(join("pki", file));
    this.apiServer = part(
      "kube-apiserver",
      binaries.path("kube-apiserver"),
      [
        `--etcd-servers=${client}`,
        `--bind-address=${address}`,
        `--advertise-address=${address}`,
        "--secure-port=6443",
        `--tls-cert-file=${pki("serving-certificate.pem")}`,
        `--tls-private-key-file=${pki("serving-key.pem")}`,
        `--token-auth-file=${pki("tokens.csv")}`,
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        `--service-account-key-file=${pki("service-account.pem")}`,
        `--service-account-signing-key-file=${pki("service-account.pem")}`,
        "--service-cluster-ip-range=10.96.0.0/16",
        "--api-audiences=https://kubernetes.default.svc,istio-ca",
        // It wants every Pod's ServiceAccount to be there with a secret; here Pods are written by hand.
        "--disable-admission-plugins=ServiceAccount",
        "--enable-priority-and-fairness=false",
      ],
      async () => (await this.get("/readyz")) === "ok",
    );
  }

  /** Returns when the API has the CRDs of Istio and of the Gateway API. @throws Failure if a part does not start */
  async start(): Promise<void> {
    await this.writeFiles(await createCertificateAuthority());
    await this.etcd.start();
    await this.apiServer.start();
    await this.apply(await readFile(this.surroundings.binaries.crdsPath, "utf8"));
    await this.kubectl(["wait", "--for=condition=Established", "crd", "--all"]);
  }

  /** Runs kubectl as the user who may do everything; returns what it prints. @throws Failure with its complaint */
  kubectl(args: readonly string[], stdin = ""): Promise<string> {
    const { binaries, files } = this.surroundings;
    // What kubectl remembers of an API must not lie in the user's home.
    const env = { ...process.env, KUBECONFIG: this.kubeconfigPath, KUBECACHEDIR: files.path("kubectl") };
    return run(binaries.path("kubectl"), args, { env, stdin });
  }

  /** Server-side apply of YAML or JSON, of one or several resources. @throws Failure with the API server's reason */
  async apply(manifests: string | readonly object[]): Promise<void> {
    const stdin =
      typeof manifests === "string" ? manifests : JSON.stringify({ kind: "List", apiVersion: "v1", items: manifests });
    await this.kubectl(["apply", "--server-side", "--force-conflicts", "--field-manager=mesh-box", "-f", "-"], stdin);
  }

  /** The body of `GET path` of the API. @throws Failure if the status is not 200 */
  async get(path: string): Promise<string> {
    const request = https.get(`${this.url}${path}`, {
      ca: this.ca,
      headers: { authorization: `Bearer ${this.token}` },
      timeout: 10_000,
    });
    request.once("timeout", () => request.destroy(new Error("no answer within 10 s")));
    const [response] = (await once(request, "response")) as [import("node:http").IncomingMessage];
    const body = await text(response);
    if (response.statusCode !== 200) throw new Error(`GET ${path}: ${String(response.statusCode)} ${body}`);
    return body;
  }

  /** A kubeconfig of another user, who may do what RBAC lets that user do, or of the API at another place. Returns its path. */
  writeKubeconfig(
    file: string,
    { user, url = this.url, tlsServerName }: { user?: string; url?: string; tlsServerName?: string } = {},
  ): Promise<string> {
    const { name } = this;
    const cluster = {
      server: url,
      "certificate-authority-data": Buffer.from(this.ca).toString("base64"),
      ...(tlsServerName === undefined ? {} : { "tls-server-name": tlsServerName }),
    };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name, cluster }],
      users: [{ name, user: { token: this.token, ...(user === undefined ? {} : { as: user }) } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      "current-context": name,
    };
    return this.surroundings.files.write(file, JSON.stringify(config, null, 2));
  }

  /** Another way to the API, which can be made slow or cut: a kubeconfig, and what it leads through. */
  async detour(): Promise<{ readonly kubeconfigPath: string; readonly forwarder: Forwarder }> {
    const { addresses, forwarders } = this.surroundings;
    const address = addresses.next();
    const forwarder = await forwarders.open({ address, port: 6443 }, { address: this.address, port: 6443 });
    const url = `https://${address}:6443`;
    return {
      kubeconfigPath: await this.writeKubeconfig(`kubeconfig-${address}`, { url, tlsServerName: this.address }),
      forwarder,
    };
  }

  /** Waits until the API has something, such as a ConfigMap that a controller makes; returns it. */
  wait(resource: readonly string[], template: string): Promise<string> {
    return until(`${resource.join(" ")} in ${this.name}`, async () => {
      const value = await this.kubectl(["get", ...resource, "-o", `jsonpath=${template}`]);
      return value === "" ? undefined : value;
    });
  }

  private async writeFiles(authority: CertificateAuthority): Promise<void> {
    const { files } = this.surroundings;
    this.ca = authority.certificate;
    const dnsNames = ["localhost", "kubernetes.default.svc"];
    const ipAddresses = [this.address, "10.96.0.1"];
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    await files.writePair("pki/serving", await authority.issue({ dnsNames, ipAddresses }));
    await files.write("pki/service-account.pem", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    await files.write("pki/tokens.csv", `${this.token},admin,admin,system:masters\n`);
    await this.writeKubeconfig("kubeconfig");
  }
}

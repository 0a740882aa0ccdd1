import { once } from "node:events";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

import { type Admin, adminAt } from "../../../shim/envoy/admin.js";
import type { Cluster } from "./cluster.js";
import { ISTIO_NAMESPACE, type Istiod } from "./istiod.js";
import type { Outside } from "./outside.js";
import { Part } from "./part.js";
import {
  labelsOf,
  podName,
  podStatus,
  PROMETHEUS_PORT,
  type ProxyKind,
  type ProxyOptions,
  resourcesOf,
  serviceName,
} from "./proxy-resources.js";

const STATUS_PORT = 15021;

/** One Envoy that istiod configures, under pilot-agent: a Pod as far as the API, istiod and its callers can see. */
export class Proxy {
  readonly part: Part;
  readonly admin: Admin;
  /** The Pod's IP, on which it listens. */
  readonly address: string;
  readonly podName: string;
  readonly kind: ProxyKind;
  readonly name: string;
  readonly namespace: string;
  /** Certificate, key and root of its workload identity, once it runs: `cert-chain.pem`, `key.pem`, `root-cert.pem`. */
  readonly identityFolder: string;

  private constructor(
    private readonly cluster: Cluster,
    options: ProxyOptions,
    address: string,
    part: Part,
    adminPort: number,
    identityFolder: string,
  ) {
    this.part = part;
    this.kind = options.kind;
    this.name = options.name;
    this.namespace = options.namespace;
    this.podName = podName(options);
    this.address = address;
    this.admin = adminAt(`127.0.0.1:${String(adminPort)}`);
    this.identityFolder = identityFolder;
  }

  /** @throws Failure if it does not get ready */
  static async start(
    cluster: Cluster,
    istiod: Istiod,
    outside: Outside,
    envoyPath: string,
    options: ProxyOptions,
  ): Promise<Proxy> {
    const { addresses, binaries, files } = cluster.surroundings;
    const address = addresses.next();
    const [adminPort, agentPort] = [await freePort(), await freePort()];
    await cluster.apply(resourcesOf(options, address, agentPort));
    await cluster.kubectl(
      ["apply", "--server-side", "--subresource=status", "-f", "-"],
      JSON.stringify(podStatus(options, address)),
    );
    const folder = `proxies/${options.namespace}.${options.name}`;
    const [token, root] = await Promise.all([
      cluster.kubectl(
        [
          ["create", "token", serviceName(options), "-n", options.namespace],
          ["--audience", "istio-ca", "--duration", "24h"],
        ].flat(),
      ),
      istiod.rootCertificate(options.namespace),
    ]);
    await files.write(join(folder, "var/run/secrets/tokens/istio-token"), token);
    await files.write(join(folder, "var/run/secrets/istio/root-cert.pem"), root);
    await files.write(
      join(folder, "bootstrap.json"),
      bootstrapTemplate(await readFile(binaries.bootstrapTemplatePath, "utf8"), address),
    );
    // Where Envoy's configuration goes, what pilot-agent reads of the Pod, modules, and its certificate.
    for (const name of [CONFIG_FOLDER, "etc/istio/pod", "var-lib/istio/data", "identity"]) {
      await mkdir(files.path(join(folder, name)), { recursive: true });
    }
    const part = agent({ cluster, istiod, outside, envoyPath, options, address, folder, adminPort, agentPort });
    const proxy = new Proxy(cluster, options, address, part, adminPort, files.path(join(folder, "identity")));
    await part.start();
    return proxy;
  }

  /** Where its callers send requests: a waypoint's speak HBONE. */
  get url(): string {
    return this.kind === "waypoint" ? `hbone://${this.address}:15008` : `http://${this.address}`;
  }

  /** What Prometheus would scrape, through the API server: `pods/NAME:15090/proxy/stats/prometheus`. */
  metrics(): Promise<string> {
    const pod = `/api/v1/namespaces/${this.namespace}/pods/${this.podName}:${String(PROMETHEUS_PORT)}`;
    return this.cluster.get(`${pod}/proxy/stats/prometheus`);
  }

  /** Envoy's whole configuration, with what istiod sent, as JSON text. */
  configDump(): Promise<string> {
    return this.admin.get("/config_dump?include_eds");
  }

  /** The log of pilot-agent, Envoy and the filter. */
  log(): Promise<string> {
    return this.part.log();
  }
}

/** Istio's template for a stock Envoy, which has no extension `metadata_discovery`, and with the Pod's address for every address. */
function bootstrapTemplate(template: string, address: string): string {
  return template
    .replaceAll("{{- if .metadata_discovery }}", "{{- if false }}")
    .replaceAll('"{{ .wildcard }}"', JSON.stringify(address));
}

interface AgentInput {
  readonly cluster: Cluster;
  readonly istiod: Istiod;
  readonly outside: Outside;
  readonly envoyPath: string;
  readonly options: ProxyOptions;
  readonly address: string;
  readonly folder: string;
  readonly adminPort: number;
  readonly agentPort: number;
}

/** Where pilot-agent keeps Envoy's bootstrap and the socket of its xDS proxy, from its working directory. */
const CONFIG_FOLDER = "etc/istio/proxy";

/** Files that a Pod has for itself are mounted over those of the machine, for this process alone. */
const MOUNT_AND_RUN = [
  'mount --bind "$1" /var/lib',
  'mount --bind "$2" /etc/hosts',
  'mount --bind "$3" /etc/ssl/certs',
  "shift 3",
  'exec "$@"',
].join(" && ");

function agent(input: AgentInput): Part {
  const { cluster, istiod, outside, envoyPath, options, address, folder, adminPort, agentPort } = input;
  const { kind, name, namespace, extraStatTags = [] } = options;
  const { keeper, binaries, files } = cluster.surroundings;
  const path = (file: string): string => files.path(join(folder, file));
  const command = [
    [binaries.path("pilot-agent"), "proxy", kind === "waypoint" ? "waypoint" : "router"],
    ["--domain", `${namespace}.svc.cluster.local`],
    ["--proxyLogLevel", "warning", "--proxyComponentLogLevel", "wasm:info,misc:error"],
    ["--templateFile", path("bootstrap.json")],
  ].flat();
  const service = serviceName(options);
  const env = {
    POD_NAME: podName(options),
    POD_NAMESPACE: namespace,
    INSTANCE_IP: address,
    HOST_IP: address,
    SERVICE_ACCOUNT: serviceName(options),
    CLUSTER_ID: "Kubernetes",
    TRUST_DOMAIN: "cluster.local",
    ISTIOD_SAN: `istiod.${ISTIO_NAMESPACE}.svc`,
    ISTIO_META_CLUSTER_ID: "Kubernetes",
    ISTIO_META_MESH_ID: "cluster.local",
    ISTIO_META_WORKLOAD_NAME: service,
    ISTIO_META_OWNER: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${service}`,
    ISTIO_METAJSON_LABELS: JSON.stringify(labelsOf(options)),
    ISTIO_META_ENABLE_HBONE: "true",
    // Istio's own build of Envoy takes this by an extension of its own.
    PEER_METADATA_DISCOVERY: "false",
    // A waypoint of a later version is sent a filter that is only in Istio's build (io.istio.connect_authority).
    ...(kind === "waypoint" ? { ISTIO_META_ISTIO_VERSION: "1.29.0" } : {}),
    WASM_INSECURE_REGISTRIES: "*",
    OUTPUT_CERTS: path("identity"),
    ENVOY_STATUS_PORT: String(STATUS_PORT),
    ENVOY_PROMETHEUS_PORT: String(PROMETHEUS_PORT),
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: istiod.discoveryAddress,
      binaryPath: envoyPath,
      // Relative, as Istio's own: a socket lies in it, whose path may have 107 bytes (unix(7)).
      configPath: CONFIG_FOLDER,
      proxyAdminPort: adminPort,
      statusPort: agentPort,
      // Two, so that what workers share is shared as in production.
      concurrency: 2,
      extraStatTags,
    }),
  };
  const mounts = [path("var-lib"), outside.hostsPath, outside.trustFolder];
  const program = {
    file: "unshare",
    args: ["--mount", "sh", "-c", MOUNT_AND_RUN, "sh", ...mounts, ...command],
    cwd: path(""),
    env,
    logPath: path("proxy.log"),
  };
  return new Part(
    `${kind} ${name}`,
    keeper,
    program,
    async () => (await fetch(`http://${address}:${String(STATUS_PORT)}/healthz/ready`)).ok,
  );
}

/** One that nothing listens on now, of those that the system gives to no outgoing connection. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const isFree = new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "0.0.0.0", () => resolve(true));
    });
    if (!(await isFree)) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/**
 * As much of an API server as the commands for clusters ask: it keeps resources in memory, by server-side apply with an owner and
 * others, and answers for the proxies that it is told of. It is a server of its own, so that what is tested is all of the command.
 * What a real one, with Istio, says is in test/mesh.
 */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse } from "node:http";
import { writeFile } from "node:fs/promises";

import { createCertificateAuthority } from "../../../shim/local/ca.js";
import { type LocalServer, startHttpServer } from "../../../shim/local/server.js";
import { fingerprint } from "../../../shim/render/fingerprint.js";
import { pluginConfigOf } from "../../../shim/render/istio/plugin.js";
import { apiPath } from "../../../shim/render/istio/api-path.js";
import type { JsonObject } from "../../../shim/render/envoy/json.js";
import type { Resource } from "../../../shim/render/istio/resource.js";

/** A Pod, and what its filter reports. */
export interface FakeProxy {
  readonly hop: string;
  readonly namespace: string;
  readonly pod: string;
  /** Whether it answers at all. */
  isSilent?: boolean;
  /** The labels `config` and `module` of its filter; undefined: it runs none. */
  runs?: { readonly config: string; readonly module: string } | undefined;
  /** Lines of its metrics beside. */
  metrics?: readonly string[];
}

interface Stored {
  /** What others wrote; undefined: it is there through us alone. */
  readonly others: Resource | undefined;
  readonly ours: Resource | undefined;
  readonly version: number;
}

const authority = await createCertificateAuthority();

export class FakeApiServer {
  readonly proxies: FakeProxy[] = [];
  /** `METHOD PATH` of what changed something or was to; a dry run is not here. */
  readonly writes: string[] = [];
  /** Of the last request. */
  headers: IncomingMessage["headers"] = {};
  /** Called before each request is answered. */
  before: (method: string, path: string, isDryRun: boolean) => void | Promise<void> = () => undefined;
  /** So many requests are put off: it has too much to do. */
  busy = 0;
  /** Paths that may not be asked, by method. */
  readonly forbidden = new Set<string>();

  private readonly stored = new Map<string, Stored>();
  private version = 1;

  private server: LocalServer | undefined;

  private constructor(readonly name: string) {}

  static async start(name = "one"): Promise<FakeApiServer> {
    const fake = new FakeApiServer(name);
    const tls = await authority.issue({ ipAddresses: ["127.0.0.1"] });
    fake.server = await startHttpServer((request, response) => fake.answer(request, response), { tls });
    return fake;
  }

  get port(): number {
    return this.server?.port ?? 0;
  }

  /** What others have there. */
  put(...resources: readonly Resource[]): void {
    for (const resource of resources)
      this.stored.set(apiPath(resource), { others: resource, ours: undefined, version: this.version++ });
  }

  /** Somebody changes a field of `spec`, by force. */
  tamper(resource: Resource, spec: JsonObject): void {
    const found = this.stored.get(apiPath(resource));
    if (found?.ours === undefined) throw new Error(`${apiPath(resource)} is not there`);
    const ours = { ...found.ours, spec: { ...(found.ours["spec"] as JsonObject), ...spec } };
    this.stored.set(apiPath(resource), { ...found, ours, version: this.version++ });
  }

  remove(resource: Resource): void {
    this.stored.delete(apiPath(resource));
  }

  get(resource: Resource): Resource | undefined {
    const found = this.stored.get(apiPath(resource));
    return found === undefined ? undefined : liveOf(found);
  }

  async close(): Promise<void> {
    await this.server?.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "https://127.0.0.1");
    this.headers = request.headers;
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(request, "end");
    const [method, path, isDryRun] = [request.method ?? "", url.pathname, url.searchParams.has("dryRun")];
    await this.before(method, path, isDryRun);
    if (this.busy > 0) {
      this.busy--;
      response.writeHead(429, { "retry-after": "0" }).end();
      return;
    }
    const body = Buffer.concat(chunks).toString("utf8");
    const answer = this.answerTo(method, path, isDryRun, body);
    if (answer === undefined) return;
    const text = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(text);
  }

  /** undefined: none. */
  private answerTo(method: string, path: string, isDryRun: boolean, body: string): Answer | undefined {
    if (this.forbidden.has(`${method} ${path}`)) return { status: 403, body: { message: `may not ${method} ${path}` } };
    const pod = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/:]+):\d+\/proxy\/stats\/prometheus$/.exec(path);
    if (pod !== null) return this.metrics(pod[1] ?? "", pod[2] ?? "");
    if (path.endsWith("/pods")) return this.pods(path.split("/")[4] ?? "");
    if (!isDryRun && method !== "GET") this.writes.push(`${method} ${path}`);
    const found = this.stored.get(path);
    switch (method) {
      case "GET":
        return found === undefined ? this.list(path) : { status: 200, body: liveOf(found) };
      case "DELETE":
        if (found === undefined) return NOT_FOUND;
        if (!isDryRun) this.stored.delete(path);
        return { status: 200, body: {} };
      case "PATCH":
      case "PUT":
        return this.apply(path, found, JSON.parse(body) as Resource, isDryRun);
      default:
        return NOT_FOUND;
    }
  }

  private apply(path: string, found: Stored | undefined, applied: Resource, isDryRun: boolean): Answer {
    const isBare = Object.keys(applied).every((key) => ["apiVersion", "kind", "metadata"].includes(key));
    const ours = isBare ? undefined : applied;
    const isSame = JSON.stringify(found?.ours) === JSON.stringify(ours);
    const next = {
      others: found?.others,
      ours,
      version: isSame && found !== undefined ? found.version : this.version++,
    };
    if (!isDryRun) this.stored.set(path, next);
    return { status: 200, body: liveOf(next) };
  }

  /** Of a kind in a namespace, if that is what it is. */
  private list(path: string): Answer {
    // /apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL
    if (!path.startsWith("/apis/") || path.split("/").length !== 7) return NOT_FOUND;
    const items = [...this.stored].filter(([key]) => key.startsWith(`${path}/`)).map(([, stored]) => liveOf(stored));
    return { status: 200, body: { items } };
  }

  private pods(namespace: string): Answer {
    const items = this.proxies
      .filter((proxy) => proxy.namespace === namespace)
      .map(({ pod }) => ({ metadata: { name: pod, namespace }, status: { phase: "Running" } }));
    return { status: 200, body: { items } };
  }

  /** The label `config` of a proxy's filter that runs the plugin that is there; a zero where there is none. */
  configOf({ namespace, hop }: { readonly namespace: string; readonly hop: string }): string {
    const plugins = [...this.stored].filter(
      ([path]) => path.includes(`/namespaces/${namespace}/`) && /\/(wasmplugins|trafficextensions)\//.test(path),
    );
    const configs = plugins.map(([, stored]) => pluginConfigOf(liveOf(stored)));
    const own = configs.find((config) => config.hop === hop);
    return own === undefined ? "0" : fingerprint(JSON.stringify(own));
  }

  private metrics(namespace: string, pod: string): Answer | undefined {
    const proxy = this.proxies.find((one) => one.namespace === namespace && one.pod === pod);
    if (proxy === undefined) return NOT_FOUND;
    if (proxy.isSilent === true) return undefined;
    const lines = [
      "envoy_server_concurrency{} 1",
      // Every write is something new for the proxies.
      `envoy_cluster_upstream_cx_rx_bytes_total{envoy_cluster_name="xds-grpc"} ${String(this.writes.length)}`,
    ];
    if (proxy.runs !== undefined) {
      const { module } = proxy.runs;
      const config = proxy.runs.config === LIVE ? this.configOf(proxy) : proxy.runs.config;
      const labels = `hop="${proxy.hop}",config="${config}",module="${module}"`;
      lines.push(`hopgate_config{${labels}} 2`);
    }
    lines.push(...(proxy.metrics ?? []));
    return { status: 200, body: `${lines.join("\n")}\n` };
  }
}

/** `runs.config` of a proxy that runs what is there. */
export const LIVE = "live";

interface Answer {
  readonly status: number;
  readonly body: object | string;
}

const NOT_FOUND: Answer = { status: 404, body: { message: "not found" } };

/** What is to be seen of it: what others wrote, and over it what we did. */
function liveOf({ others, ours, version }: Stored): Resource {
  const both = { ...others, ...ours } as Resource;
  return { ...both, metadata: { ...both.metadata, resourceVersion: String(version) } };
}

/** Writes a kubeconfig with a context for each, the first being the current one. Returns its path. */
export async function writeKubeconfig(
  path: string,
  servers: readonly { readonly name: string; readonly port: number }[],
): Promise<string> {
  const ca = Buffer.from(authority.certificate).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": servers[0]?.name,
    clusters: servers.map(({ name, port }) => ({
      name,
      cluster: { server: `https://127.0.0.1:${String(port)}`, "certificate-authority-data": ca },
    })),
    users: [{ name: "user", user: {} }],
    contexts: servers.map(({ name }) => ({ name, context: { cluster: name, user: "user" } })),
  };
  await writeFile(path, JSON.stringify(config));
  return path;
}

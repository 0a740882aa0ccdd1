import { rootCertificates } from "node:tls";

import type { Backend, CloudRunBackend, Mesh } from "../config/model.js";
import type { Endpoint } from "../render/envoy/input.js";
import { IAM_CREDENTIALS_SERVICE, METADATA_SERVICE } from "../render/envoy/names.js";
import { platformServices } from "../render/envoy/platform.js";
import { startAgent } from "./agent.js";
import type { CertificateAuthority } from "./ca.js";
import { type ChatOptions, startChat } from "./chat.js";
import type { CloudRunService } from "./cloud-run-access.js";
import { type CloudRun, startCloudRun } from "./cloud-run.js";
import { startIamCredentials } from "./iam-credentials.js";
import { startJwks } from "./jwks.js";
import type { Issuers } from "./issuers.js";
import type { KeySet } from "./keys.js";
import type { MetadataServer } from "./metadata-server.js";
import type { LocalServer, TlsIdentity } from "./server.js";
import { startVectorSearch } from "./vector-search.js";
import type { WorkFiles } from "./work-files.js";

/** What answers for a backend: which requests make sense to it follows from this. */
export type StandInKind = "chat" | "vectorSearch" | "agent";

/** Port of Qdrant's REST interface: a service with it is taken for a vector database. */
const VECTOR_PORT = 6333;

export function standInKind(backend: Backend): StandInKind {
  if (backend.kind === "cloudRun") return "agent";
  return backend.port === VECTOR_PORT ? "vectorSearch" : "chat";
}

export interface EndpointsOptions {
  readonly ca: CertificateAuthority;
  readonly caPath: string;
  /** What Google signs with. */
  readonly keys: KeySet;
  readonly issuers: Issuers;
  readonly metadata: MetadataServer;
  readonly files: WorkFiles;
  /** Email of the identity that the local metadata server hands out. */
  readonly caller: string;
  /** Real services in the place of stand-ins, by name of the backend. */
  readonly replacements: ReadonlyMap<string, URL>;
  readonly chat: ChatOptions | undefined;
  /** Gets every server as soon as it runs, so that none is left if a later one fails. */
  readonly opened: <T extends LocalServer>(server: T) => T;
}

/**
 * Where everything outside of the Envoys really is. Stand-ins are started when a mesh first needs them, and stay: requests
 * that were on their way to a backend which a change took away are still answered.
 */
export class Endpoints {
  private readonly options: EndpointsOptions;
  private readonly standIns = new Map<string, LocalServer>();
  private readonly tlsServers = new Map<string, Endpoint>();
  /** Service accounts that may be impersonated, and by whom. */
  private readonly accounts = new Map<string, readonly string[]>();
  /** What Cloud Run's front end serves, by host; it looks here for each request. */
  private readonly services: Record<string, CloudRunService> = {};
  private cloudRunServer: CloudRun | undefined;
  private cloudRunHosts = "";

  constructor(options: EndpointsOptions) {
    this.options = options;
  }

  /** The front end of Cloud Run, once a mesh has needed it. */
  get cloudRun(): CloudRun | undefined {
    return this.cloudRunServer;
  }

  /** Starts what `mesh` needs, and says where each backend is, by name. */
  async backends(mesh: Mesh): Promise<ReadonlyMap<string, Endpoint>> {
    const { replacements, caller } = this.options;
    const all = [...mesh.backends.values()];
    // Where the file says that no hop adds tokens, Cloud Run cannot ask for them.
    const { mode, serviceAccount = caller } = mesh.identity;
    const invokers = mode === "off" ? "all" : [...new Set([caller, serviceAccount])];
    const stoodIn = all.filter(isCloudRun).filter(({ name }) => !replacements.has(name));
    await this.ensureCloudRun(stoodIn, invokers);
    const endpoints = new Map<string, Endpoint>();
    for (const backend of all) {
      const replacement = replacements.get(backend.name);
      endpoints.set(backend.name, replacement ? await this.replaced(replacement) : await this.standIn(backend));
    }
    return endpoints;
  }

  /** Where the hosts are that the filter itself calls, by host. */
  async platform(mesh: Mesh): Promise<ReadonlyMap<string, Endpoint>> {
    this.options.issuers.publish(mesh);
    const endpoints = new Map<string, Endpoint>();
    for (const { host } of platformServices(mesh)) {
      endpoints.set(host, await this.platformHost(host, mesh));
    }
    return endpoints;
  }

  private async platformHost(host: string, { identity }: Mesh): Promise<Endpoint> {
    if (host === METADATA_SERVICE.host) return { address: "127.0.0.1", port: this.options.metadata.port };
    if (host !== IAM_CREDENTIALS_SERVICE.host) return this.keyServer(host);
    if (identity.serviceAccount !== undefined) this.accounts.set(identity.serviceAccount, [this.options.caller]);
    return this.tlsServer(host, (tls) => this.startCredentials(tls));
  }

  private startCredentials(tls: TlsIdentity): Promise<LocalServer> {
    const { keys, metadata, caller } = this.options;
    const callerOf = (accessToken: string): string | undefined =>
      accessToken === metadata.accessToken ? caller : undefined;
    return startIamCredentials({ keys, accounts: this.accounts, callerOf, tls });
  }

  private async standIn(backend: Backend): Promise<Endpoint> {
    if (backend.kind === "kubernetes") return { address: "127.0.0.1", port: (await this.server(backend)).port };
    const port = this.cloudRunServer?.port ?? 0;
    return { address: "127.0.0.1", port, tls: { name: backend.host, caFile: this.options.caPath } };
  }

  private async server(backend: Backend): Promise<LocalServer> {
    const kind = standInKind(backend);
    const key = `${kind} ${backend.name}`;
    const running = this.standIns.get(key);
    if (running !== undefined) return running;
    const server = this.options.opened(await startStandIn(kind, this.options.chat));
    this.standIns.set(key, server);
    return server;
  }

  /** One front end serves all; a host that its certificate does not have takes a new one. */
  private async ensureCloudRun(
    backends: readonly CloudRunBackend[],
    invokers: CloudRunService["invokers"],
  ): Promise<void> {
    const { ca, keys, opened } = this.options;
    for (const backend of backends) {
      const { origin } = await this.server(backend);
      this.services[backend.host] = { audiences: [backend.audience], invokers, container: origin };
    }
    const hosts = Object.keys(this.services).sort().join(" ");
    if (this.cloudRunServer !== undefined && hosts === this.cloudRunHosts) return;
    const tls = await ca.issue({ dnsNames: ["run.local-mesh.internal", ...Object.keys(this.services)] });
    this.cloudRunServer = opened(await startCloudRun({ services: this.services, keys: () => keys.jwks(), tls }));
    this.cloudRunHosts = hosts;
  }

  private keyServer(host: string): Promise<Endpoint> {
    const { issuers } = this.options;
    return this.tlsServer(host, (tls) => startJwks({ keys: (path) => issuers.keySetAt(host, path), tls }));
  }

  /** A server of ours in the place of `host`, started once, with a certificate for that name. */
  private async tlsServer(host: string, start: (tls: TlsIdentity) => Promise<LocalServer>): Promise<Endpoint> {
    const running = this.tlsServers.get(host);
    if (running !== undefined) return running;
    const { ca, caPath, opened } = this.options;
    const { port } = opened(await start(await ca.issue({ dnsNames: [host] })));
    const endpoint = { address: "127.0.0.1", port, tls: { name: host, caFile: caPath } };
    this.tlsServers.set(host, endpoint);
    return endpoint;
  }

  /** A real service: its certificate must be one that the public roots vouch for. */
  private async replaced(url: URL): Promise<Endpoint> {
    const isTls = url.protocol === "https:";
    const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const caFile = isTls ? await this.options.files.write("public-roots.pem", rootCertificates.join("\n")) : "";
    return {
      address: name === "localhost" ? "127.0.0.1" : name,
      port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
      authority: url.host,
      ...(isTls && { tls: { name, caFile } }),
    };
  }
}

function isCloudRun(backend: Backend): backend is CloudRunBackend {
  return backend.kind === "cloudRun";
}

function startStandIn(kind: StandInKind, chat: ChatOptions | undefined): Promise<LocalServer> {
  switch (kind) {
    case "chat":
      return startChat(chat);
    case "vectorSearch":
      return startVectorSearch();
    case "agent":
      return startAgent();
  }
}

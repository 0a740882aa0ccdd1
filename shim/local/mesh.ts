import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";

import type { Backend, GatewayHop, Hop, Mesh, WaypointHop } from "../config/model.js";
import { type Keeper, openKeeper } from "../envoy/keeper.js";
import { type RunningEnvoy, startEnvoy } from "../envoy/start.js";
import { Failure, UsageError } from "../errors.js";
import { renderGateway } from "../render/envoy/gateway.js";
import { BOOTSTRAP_FILE, type Endpoint, type EnvoyFile, type KeyPair } from "../render/envoy/input.js";
import { workloadIdentity } from "../render/envoy/names.js";
import { platformServices } from "../render/envoy/platform.js";
import { renderWaypoint } from "../render/envoy/waypoint.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import { type CertificateAuthority, createCertificateAuthority } from "./ca.js";
import type { ChatOptions } from "./chat.js";
import type { CloudRun } from "./cloud-run.js";
import { startJwks } from "./jwks.js";
import { createKeySet, type KeySet } from "./keys.js";
import { type MetadataFault, type MetadataServer, startMetadataServer } from "./metadata-server.js";
import type { LocalServer, TlsIdentity } from "./server.js";
import { startStandIns } from "./stand-ins.js";

/** The identity of the local mesh: what the metadata server signs tokens for. */
export const LOCAL_CALLER = "hopgate@local-mesh.iam.gserviceaccount.com";

export interface LocalMeshOptions {
  readonly mesh: Mesh;
  readonly envoyPath: string;
  readonly wasmPath: string;
  /** Port of the first gateway at 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  /** Real services in the place of stand-ins, by name of the backend. */
  readonly replacements: ReadonlyMap<string, URL>;
  readonly chat?: ChatOptions;
  readonly metadata?: {
    readonly delayMs?: number;
    readonly tokenLifetimeSec?: number;
    readonly fault?: (request: { path: string; audience: string | undefined }) => MetadataFault | undefined;
  };
  /** Worker threads of each Envoy. */
  readonly concurrency?: number;
  /** What is being done, for people who wait. */
  onProgress?(text: string): void;
  /** An Envoy died after the start. */
  onCrash?(failure: Failure): void;
}

export interface LocalGateway {
  readonly hop: string;
  /** At 127.0.0.1, HTTPS. */
  readonly port: number;
}

export interface LocalMesh {
  /** In the order of hopgate.yaml; at least one. */
  readonly gateways: readonly [LocalGateway, ...LocalGateway[]];
  readonly envoys: readonly RunningEnvoy[];
  /** The private CA, in PEM, and the file that holds it for as long as the mesh runs. */
  readonly ca: string;
  readonly caPath: string;
  readonly metadata: MetadataServer;
  readonly cloudRun: CloudRun;
  /** Ends everything and removes every file. May be called twice. */
  close(): Promise<void>;
}

/**
 * Runs a hopgate.yaml on this machine: an Envoy for each hop, and a stand-in for everything that they talk to.
 * Everything listens on 127.0.0.1.
 *
 * @throws UsageError if the mesh has no gateway to send requests through, Failure if a part does not start. Nothing is left running.
 */
export async function startLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  const { mesh, replacements } = options;
  const hops = [...mesh.hops.values()];
  if (!hops.some((hop) => hop.kind === "gateway")) {
    throw new UsageError("This hopgate.yaml has no gateway, so nothing could be sent through the local mesh.", "Add one under hops.");
  }
  for (const name of replacements.keys()) {
    if (!mesh.backends.has(name)) {
      throw new UsageError(`--backend ${name}: there is no such backend.`, `Name one of ${[...mesh.backends.keys()].join(", ")}.`);
    }
  }
  const servers: LocalServer[] = [];
  const keeper = await openKeeper();
  const close = async (): Promise<void> => {
    await Promise.all([keeper.close(), ...servers.map((server) => server.close())]);
  };
  try {
    return { ...(await assemble(options, keeper, servers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function assemble(options: LocalMeshOptions, keeper: Keeper, servers: LocalServer[]): Promise<Omit<LocalMesh, "close">> {
  const { mesh, replacements } = options;
  const opened = <T extends LocalServer>(server: T): T => {
    servers.push(server);
    return server;
  };
  options.onProgress?.("making keys and certificates");
  const [ca, keys] = await Promise.all([createCertificateAuthority(), createKeySet()]);
  const files = new WorkFiles(keeper.workDir);
  const caPath = await files.write("ca.pem", ca.certificate);

  options.onProgress?.("starting the services");
  const metadata = opened(await startMetadataServer({ keys, email: LOCAL_CALLER, ...options.metadata }));
  const platform = await startPlatform(mesh, metadata, keys, ca, caPath, opened);
  const standIns = await startStandIns({
    backends: [...mesh.backends.values()].filter(({ name }) => !replacements.has(name)),
    keys,
    tls: await ca.issue({ dnsNames: ["cloud-run.local-mesh.internal", ...cloudRunHosts(mesh)] }),
    caller: LOCAL_CALLER,
    chat: options.chat,
    opened,
  });
  const publicRootsPath = replacements.size > 0 ? await files.write("public-roots.pem", rootCertificates.join("\n")) : "";
  const backends = new Map(
    [...mesh.backends.values()].map((backend) => {
      const replacement = replacements.get(backend.name);
      const endpoint =
        replacement === undefined
          ? standInEndpoint(backend, standIns.ports, standIns.cloudRun.port, caPath)
          : replacementEndpoint(replacement, publicRootsPath);
      return [backend.name, endpoint];
    }),
  );
  const envoys = new Envoys(options, keeper, files, ca, caPath, { backends, platform });
  const gateways = await envoys.startAll();
  return { gateways, envoys: envoys.running, ca: ca.certificate, caPath, metadata, cloudRun: standIns.cloudRun };
}

/** The Envoys of the mesh: waypoints first, since the gateways must know their ports. */
class Envoys {
  readonly running: RunningEnvoy[] = [];
  private readonly waypointPorts = new Map<string, number>();

  constructor(
    private readonly options: LocalMeshOptions,
    private readonly keeper: Keeper,
    private readonly files: WorkFiles,
    private readonly ca: CertificateAuthority,
    private readonly caPath: string,
    private readonly endpoints: {
      readonly backends: ReadonlyMap<string, Endpoint>;
      readonly platform: ReadonlyMap<string, Endpoint>;
    },
  ) {}

  async startAll(): Promise<LocalMesh["gateways"]> {
    const hops = [...this.options.mesh.hops.values()];
    for (const hop of hops) {
      if (hop.kind === "waypoint") this.waypointPorts.set(hop.name, await this.startWaypoint(hop));
    }
    const gateways: LocalGateway[] = [];
    for (const hop of hops) {
      if (hop.kind !== "gateway") continue;
      const port = await this.startGateway(hop, gateways.length === 0 ? this.options.port : 0);
      gateways.push({ hop: hop.name, port });
    }
    const [first, ...others] = gateways;
    if (first === undefined) throw new Failure("The local mesh has no gateway.");
    return [first, ...others];
  }

  private async startWaypoint(hop: WaypointHop): Promise<number> {
    return this.start(hop, renderWaypoint({ ...(await this.common(hop)), hop, port: 0 }));
  }

  private async startGateway(hop: GatewayHop, port: number): Promise<number> {
    const { mesh } = this.options;
    const names = mesh.routes.flatMap((route) => route.hosts);
    const serving = await this.files.writePair(`${hop.name}/serving`, await this.ca.issue({ dnsNames: [...new Set(names)], ipAddresses: ["127.0.0.1"] }));
    return this.start(hop, renderGateway({ ...(await this.common(hop)), hop, port, serving, waypointPorts: this.waypointPorts }));
  }

  private async common(hop: Hop) {
    const { mesh, wasmPath } = this.options;
    const pair = await this.files.writePair(`${hop.name}/identity`, await this.ca.issue({ spiffeId: workloadIdentity(hop) }));
    return {
      mesh,
      wasmPath,
      pluginConfig: JSON.stringify(pluginConfigFor(mesh, hop.name)),
      workDir: this.files.path(hop.name),
      identity: { ...pair, caFile: this.caPath },
      ...this.endpoints,
    };
  }

  /** Returns the port of the hop's listener. */
  private async start(hop: Hop, files: readonly EnvoyFile[]): Promise<number> {
    const { envoyPath, concurrency, onProgress, onCrash } = this.options;
    onProgress?.(`starting Envoy for ${hop.kind} ${hop.name}`);
    for (const { name, content } of files) await this.files.write(join(hop.name, name), JSON.stringify(content));
    const envoy = await startEnvoy({
      keeper: this.keeper,
      envoyPath,
      hop: hop.name,
      dir: this.files.path(hop.name),
      configPath: this.files.path(join(hop.name, BOOTSTRAP_FILE)),
      componentLogLevel: "wasm:info",
      ...(concurrency !== undefined && { concurrency }),
      onExit: (failure) => onCrash?.(failure),
    });
    this.running.push(envoy);
    const [listener] = [...envoy.listeners.values()].filter(({ port }) => port > 0);
    if (listener === undefined) throw new Failure(`The Envoy of ${hop.name} has no listener.`);
    return listener.port;
  }
}

/** Files in the work dir, which goes with everything in it when the mesh ends. */
class WorkFiles {
  constructor(private readonly workDir: string) {}

  path(name: string): string {
    return join(this.workDir, name);
  }

  /** Appears whole or not at all: Envoy watches these files. Keys lie among them, hence the mode. */
  async write(name: string, text: string): Promise<string> {
    const path = this.path(name);
    await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
    return path;
  }

  async writePair(name: string, { certificate, key }: TlsIdentity): Promise<KeyPair> {
    const [certificateFile, keyFile] = await Promise.all([
      this.write(`${name}-certificate.pem`, certificate),
      this.write(`${name}-key.pem`, key),
    ]);
    return { certificateFile, keyFile };
  }
}

/** The hosts outside of the mesh that the filter calls. */
async function startPlatform(
  mesh: Mesh,
  metadata: MetadataServer,
  keys: KeySet,
  ca: CertificateAuthority,
  caPath: string,
  opened: <T extends LocalServer>(server: T) => T,
): Promise<ReadonlyMap<string, Endpoint>> {
  const endpoints = new Map<string, Endpoint>();
  for (const { host, port } of platformServices(mesh)) {
    if (port === 80) {
      endpoints.set(host, { address: "127.0.0.1", port: metadata.port });
      continue;
    }
    const tls = await ca.issue({ dnsNames: [host] });
    const server = opened(await startJwks({ keys: () => keys.jwks(), tls }));
    endpoints.set(host, { address: "127.0.0.1", port: server.port, tls: { name: host, caFile: caPath } });
  }
  return endpoints;
}

function cloudRunHosts(mesh: Mesh): readonly string[] {
  return [...new Set([...mesh.backends.values()].flatMap((backend) => (backend.kind === "cloudRun" ? [backend.host] : [])))];
}

function standInEndpoint(backend: Backend, ports: ReadonlyMap<string, number>, cloudRunPort: number, caFile: string): Endpoint {
  if (backend.kind === "cloudRun") {
    return { address: "127.0.0.1", port: cloudRunPort, tls: { name: backend.host, caFile } };
  }
  const port = ports.get(backend.name);
  if (port === undefined) throw new Failure(`Nothing answers for the backend ${backend.name}.`);
  return { address: "127.0.0.1", port };
}

function replacementEndpoint(url: URL, caFile: string): Endpoint {
  const isTls = url.protocol === "https:";
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    address: name === "localhost" ? "127.0.0.1" : name,
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    authority: url.host,
    ...(isTls && { tls: { name, caFile } }),
  };
}

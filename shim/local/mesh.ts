import type { GatewayHop, Hop, Mesh, WaypointHop } from "../config/model.js";
import type { FuncE } from "../envoy/func-e.js";
import { type Keeper, openKeeper } from "../envoy/keeper.js";
import type { RunningEnvoy } from "../envoy/start.js";
import { Failure, UsageError } from "../errors.js";
import { renderGateway } from "../render/envoy/gateway.js";
import type { EnvoyFile, KeyPair, WorkloadCertificate } from "../render/envoy/input.js";
import { workloadIdentity } from "../render/envoy/names.js";
import { renderWaypoint } from "../render/envoy/waypoint.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import { Callers, entranceOf } from "./callers.js";
import { type CertificateAuthority, createCertificateAuthority } from "./ca.js";
import type { ChatOptions } from "./chat.js";
import type { CloudRun } from "./cloud-run.js";
import { Endpoints } from "./endpoints.js";
import { HopProcess } from "./hop-process.js";
import { Issuers } from "./issuers.js";
import { createKeySet } from "./keys.js";
import { type MetadataFault, type MetadataServer, startMetadataServer } from "./metadata-server.js";
import type { LocalServer } from "./server.js";
import { transition } from "./transition.js";
import { WorkFiles } from "./work-files.js";

/** The identity of the local mesh: what the metadata server signs tokens for. */
const LOCAL_CALLER = "hopgate@local-mesh.iam.gserviceaccount.com";

/** Worker threads of each Envoy: two, so that what workers share is shared as in production. */
const DEFAULT_CONCURRENCY = 2;

export interface LocalMeshOptions {
  readonly mesh: Mesh;
  readonly envoyPath: string;
  readonly funcE?: FuncE | undefined;
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
  readonly onProgress?: (text: string) => void;
  /** An Envoy died after the start. */
  readonly onCrash?: (failure: Failure) => void;
}

interface LocalGateway {
  readonly hop: string;
  /** At 127.0.0.1, HTTPS. */
  readonly port: number;
}

export interface LocalMesh {
  /** What runs; `update` changes it. */
  readonly mesh: Mesh;
  /** In the order of hopgate.yaml; at least one. */
  readonly gateways: readonly [LocalGateway, ...LocalGateway[]];
  readonly envoys: readonly RunningEnvoy[];
  /** The private CA, in PEM, and the file that holds it for as long as the mesh runs. */
  readonly ca: string;
  readonly caPath: string;
  readonly metadata: MetadataServer;
  readonly cloudRun: CloudRun;
  readonly callers: Callers;
  /**
   * Runs another hopgate.yaml in the same Envoys, without losing a request. Where it fails, the old one serves on; once
   * `signal` has aborted, the mesh is about to be closed, and nothing is put back.
   * @throws UsageError if it has other hops, Failure if a proxy refuses it
   */
  update(mesh: Mesh, signal?: AbortSignal): Promise<void>;
  /** Ends everything and removes every file. May be called twice. */
  close(): Promise<void>;
}

/**
 * Runs a hopgate.yaml on this machine: an Envoy for each hop, and a stand-in for everything that they talk to.
 * Everything listens on 127.0.0.1.
 *
 * @throws UsageError if nothing could be sent through it, Failure if a part does not start. Nothing is left running.
 */
export async function startLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  refuseUnusable(options);
  const servers: LocalServer[] = [];
  const keeper = await openKeeper();
  const close = async (): Promise<void> => {
    await Promise.all([keeper.close(), ...servers.map((server) => server.close())]);
  };
  try {
    return await assemble(options, keeper, servers, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function refuseUnusable({ mesh, replacements }: LocalMeshOptions): void {
  if (![...mesh.hops.values()].some((hop) => hop.kind === "gateway")) {
    throw new UsageError(
      "This hopgate.yaml has no gateway, so nothing could be sent through the local mesh.",
      "Add a gateway under hops.",
    );
  }
  for (const name of replacements.keys()) {
    if (mesh.backends.has(name)) continue;
    const names = [...mesh.backends.keys()].join(", ");
    throw new UsageError(`--backend ${name}: there is no such backend.`, `Name one of ${names}.`);
  }
}

async function assemble(
  options: LocalMeshOptions,
  keeper: Keeper,
  servers: LocalServer[],
  close: () => Promise<void>,
): Promise<LocalMesh> {
  const { mesh, onProgress, replacements, chat } = options;
  const opened = <T extends LocalServer>(server: T): T => {
    servers.push(server);
    return server;
  };
  onProgress?.("making keys and certificates");
  const [ca, keys, es256] = await Promise.all([createCertificateAuthority(), createKeySet(), createKeySet("ES256")]);
  const issuers = new Issuers({ RS256: keys, ES256: es256 });
  const files = new WorkFiles(keeper.workDir);
  const caPath = await files.write("ca.pem", ca.certificate);
  onProgress?.("starting the services");
  const metadata = opened(await startMetadataServer({ keys, email: LOCAL_CALLER, ...options.metadata }));
  const endpoints = new Endpoints({
    ca,
    caPath,
    keys,
    issuers,
    metadata,
    files,
    caller: LOCAL_CALLER,
    replacements,
    chat,
    opened,
  });
  const hops = new Hops(options, keeper, files, ca, caPath, endpoints);
  const gateways = await hops.start(mesh);
  const callers = new Callers({ issuers, files });
  await callers.follow(mesh);
  const { cloudRun } = endpoints;
  if (cloudRun === undefined) throw new Failure("The front end of Cloud Run did not start.");
  return {
    get mesh() {
      return hops.mesh;
    },
    gateways,
    envoys: hops.envoys,
    ca: ca.certificate,
    caPath,
    metadata,
    cloudRun,
    callers,
    update: async (changed, signal) => {
      await hops.update(changed, signal);
      await callers.follow(changed);
    },
    close: async () => {
      await callers.close();
      await close();
    },
  };
}

/** What a hop is rendered from, beside the mesh. */
type Input = Pick<Parameters<typeof renderWaypoint>[0], "backends" | "platform">;

/** The Envoys of a mesh. Waypoints come first: gateways must know their ports. */
class Hops {
  mesh: Mesh;
  private readonly processes: HopProcess[] = [];
  private readonly identities = new Map<string, WorkloadCertificate>();
  private serving: { readonly hosts: string; readonly pair: KeyPair } | undefined;

  constructor(
    private readonly options: LocalMeshOptions,
    private readonly keeper: Keeper,
    private readonly files: WorkFiles,
    private readonly ca: CertificateAuthority,
    private readonly caPath: string,
    private readonly endpoints: Endpoints,
  ) {
    this.mesh = options.mesh;
  }

  get envoys(): readonly RunningEnvoy[] {
    return this.processes.map(({ envoy }) => envoy);
  }

  async start(mesh: Mesh): Promise<LocalMesh["gateways"]> {
    const input = await this.inputFor(mesh);
    for (const hop of inOrder(mesh)) {
      this.options.onProgress?.(`starting Envoy for the ${hop.kind} ${hop.name}`);
      const process = await HopProcess.start(hop, await this.render(hop, mesh, input), {
        keeper: this.keeper,
        files: this.files,
        envoyPath: this.options.envoyPath,
        funcE: this.options.funcE,
        concurrency: this.options.concurrency ?? DEFAULT_CONCURRENCY,
        onCrash: (failure) => this.options.onCrash?.(failure),
      });
      this.processes.push(process);
    }
    const [first, ...others] = this.processes
      .filter(({ hop }) => hop.kind === "gateway")
      .map(({ hop, port }) => ({ hop: hop.name, port }));
    if (first === undefined) throw new Failure("The local mesh has no gateway.");
    return [first, ...others];
  }

  /** Routes that serve both, then the plugins, then the routes of the new one alone. */
  async update(after: Mesh, signal?: AbortSignal): Promise<void> {
    const changed = changedHops(this.mesh, after);
    if (changed.length > 0) {
      throw new UsageError(
        `The hops changed: ${changed.join(", ")}.`,
        "End hopgate up and start it again: each hop is an Envoy of its own.",
      );
    }
    const both = transition(this.mesh, after);
    try {
      await this.route(both);
      await this.plug(after, both);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      await this.plug(this.mesh, both);
      await this.route(this.mesh);
      throw error;
    }
    await this.route(after);
    this.mesh = after;
  }

  private async route(mesh: Mesh): Promise<void> {
    const input = await this.inputFor(mesh);
    for (const process of this.processes) await process.updateRoutes(await this.render(process.hop, mesh, input));
  }

  /** The plugins of `mesh`, beside routes that are `routed`. */
  private async plug(mesh: Mesh, routed: Mesh): Promise<void> {
    const input = await this.inputFor(routed);
    for (const process of this.processes) {
      const pluginConfig = pluginConfigText(mesh, process.hop);
      await process.updatePlugin(await this.render(process.hop, routed, input, pluginConfig), pluginConfig);
    }
  }

  private async inputFor(mesh: Mesh): Promise<Input> {
    return { backends: await this.endpoints.backends(mesh), platform: await this.endpoints.platform(mesh) };
  }

  private async render(
    hop: Hop,
    mesh: Mesh,
    input: Input,
    pluginConfig = pluginConfigText(mesh, hop),
  ): Promise<readonly EnvoyFile[]> {
    const { wasmPath } = this.options;
    const identity = await this.identityOf(hop);
    const common = { mesh, wasmPath, pluginConfig, workDir: this.files.path(hop.name), identity, ...input };
    return hop.kind === "waypoint" ? this.renderWaypoint(hop, common) : this.renderGateway(hop, common);
  }

  private renderWaypoint(hop: WaypointHop, common: CommonInput): readonly EnvoyFile[] {
    return renderWaypoint({ ...common, hop, port: 0 });
  }

  private async renderGateway(hop: GatewayHop, common: CommonInput): Promise<readonly EnvoyFile[]> {
    // A listener keeps its port as long as it is rendered with the one that was asked for, be it 0.
    const port = hop.name === entranceOf(this.options.mesh).name ? this.options.port : 0;
    const waypointPorts = new Map(this.processes.map((process) => [process.hop.name, process.port]));
    return renderGateway({ ...common, hop, port, waypointPorts, serving: await this.servingFor(common.mesh) });
  }

  private async identityOf(hop: Hop): Promise<WorkloadCertificate> {
    const known = this.identities.get(hop.name);
    if (known !== undefined) return known;
    const certificate = await this.ca.issue({ spiffeId: workloadIdentity(hop) });
    const pair = await this.files.writePair(`${hop.name}/identity`, certificate);
    const identity = { ...pair, caFile: this.caPath };
    this.identities.set(hop.name, identity);
    return identity;
  }

  /** One certificate for all hosts; other hosts, another file, since Envoy reads each only once. */
  private async servingFor(mesh: Mesh): Promise<KeyPair> {
    const names = [...new Set(mesh.routes.flatMap((route) => route.hosts))].sort();
    const hosts = names.join(" ");
    if (this.serving?.hosts === hosts) return this.serving.pair;
    const certificate = await this.ca.issue({ dnsNames: names, ipAddresses: ["127.0.0.1"] });
    const pair = await this.files.writePair(`serving/${String(Date.now())}`, certificate);
    this.serving = { hosts, pair };
    return pair;
  }
}

type CommonInput = Omit<Parameters<typeof renderWaypoint>[0], "hop" | "port">;

function inOrder(mesh: Mesh): readonly Hop[] {
  const hops = [...mesh.hops.values()];
  return [...hops.filter(({ kind }) => kind === "waypoint"), ...hops.filter(({ kind }) => kind === "gateway")];
}

/** Names of the hops that are in one of the two only, or another proxy in the other. */
function changedHops(before: Mesh, after: Mesh): readonly string[] {
  const names = new Set([...before.hops.keys(), ...after.hops.keys()]);
  return [...names].filter((name) => place(before.hops.get(name)) !== place(after.hops.get(name)));
}

/** What makes a hop a proxy of its own. */
function place(hop: Hop | undefined): string | undefined {
  if (hop === undefined) return undefined;
  return JSON.stringify([hop.kind, hop.namespace, hop.kind === "waypoint" ? hop.gateway : hop.selector]);
}

function pluginConfigText(mesh: Mesh, hop: Hop): string {
  return JSON.stringify(pluginConfigFor(mesh, hop.name));
}

import { mkdir, rename, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";

import type { GatewayHop } from "../../shim/config/model.js";
import { type Keeper, openKeeper } from "../../shim/envoy/keeper.js";
import { type RunningEnvoy, startEnvoy } from "../../shim/envoy/start.js";
import { createKeySet, type KeySet } from "../../shim/local/keys.js";
import {
  type MetadataServer,
  type MetadataServerOptions,
  startMetadataServer,
} from "../../shim/local/metadata-server.js";
import { listen, type LocalServer } from "../../shim/local/server.js";
import { wasmPath } from "../../shim/package-root.js";
import { bootstrapFile } from "../../shim/render/envoy/bootstrap.js";
import { endpointCluster } from "../../shim/render/envoy/cluster.js";
import { resourceFile } from "../../shim/render/envoy/files.js";
import { hopConnectionManager, router } from "../../shim/render/envoy/hcm.js";
import { BOOTSTRAP_FILE, type EnvoyFile } from "../../shim/render/envoy/input.js";
import { type JsonObject, typed } from "../../shim/render/envoy/json.js";
import { onLoopback } from "../../shim/render/envoy/loopback.js";
import { METADATA_SERVICE, outboundCluster } from "../../shim/render/envoy/names.js";
import { pluginFilter, pluginResource } from "../../shim/render/envoy/plugin.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";

/** Where a backend really is, at 127.0.0.1. */
export interface Service {
  readonly port: number;
  /** What Envoy speaks to it; HTTP/1.1 unless given. */
  readonly protocol?: "http1" | "http2";
}

export interface StandaloneOptions {
  readonly envoyPath: string;
  /** A backend without a service has a route whose cluster has no endpoint: 503. */
  readonly config: PluginConfig;
  readonly services: Readonly<Record<string, Service>>;
  /** Where requests go that the filter gave no backend; without it Envoy answers them with 404. */
  readonly passTo?: Service;
  /** Upgrades that Envoy lets through to the filter; `websocket` alone unless given. */
  readonly upgrades?: readonly string[];
  readonly concurrency?: number;
  readonly metadata?: Omit<MetadataServerOptions, "keys" | "email">;
  /** What the metadata cluster is instead of a metadata server: missing, without endpoints, or something at this port. */
  readonly metadataCluster?: "missing" | "empty" | number;
  /** More clusters that the filter calls, by name. */
  readonly clusters?: Readonly<Record<string, Service>>;
  /** Added to what every route does, such as a retry policy. */
  readonly route?: JsonObject;
  /** HTTP filters in front of ours. */
  readonly filters?: readonly JsonObject[];
  /** Another build of the filter. */
  readonly wasmPath?: string;
  readonly logLevel?: string;
  readonly componentLogLevel?: string;
  /** The metadata server says nothing before this; set `identity.timeoutMs` to match. */
  readonly tokensAfter?: Promise<void>;
}

/** One Envoy with the filter and a plain-text listener that takes HTTP/1.1 and HTTP/2. */
export interface Standalone {
  /** At 127.0.0.1. */
  readonly port: number;
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  readonly envoy: RunningEnvoy;
  readonly metadata: MetadataServer;
  /** The folder of its configuration and logs. */
  readonly dir: string;
  /** The filter's configuration is replaced as a control plane would: a new file is renamed over the old one. */
  update(config: PluginConfig): Promise<void>;
  close(): Promise<void>;
}

/** What the files of an Envoy are made of. */
type Files = Omit<StandaloneOptions, "envoyPath">;

const HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Envoy's own windows of many MiB would hide whether a body is held. */
const HTTP2: JsonObject = {
  allow_connect: true,
  initial_stream_window_size: 1 << 20,
  initial_connection_window_size: 1 << 20,
};

let keys: Promise<KeySet> | undefined;

/** What all tokens of the tests are signed with. */
export function testKeys(): Promise<KeySet> {
  return (keys ??= createKeySet());
}

/** Starts an Envoy that runs build/hopgate.wasm as `config.hop`. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const metadata = await startMetadataServer({
    keys: await testKeys(),
    email: "hopgate@test.iam.gserviceaccount.com",
    ...options.metadata,
  });
  const gate = await startGate(metadata.port, options.tokensAfter);
  const keeper = await openKeeper();
  const close = async (): Promise<void> => {
    await Promise.all([keeper.close(), gate.close(), metadata.close()]);
  };
  try {
    return { ...(await run(options, keeper, gate.port)), metadata, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function run(
  options: StandaloneOptions,
  keeper: Keeper,
  metadataPort: number,
): Promise<Omit<Standalone, "metadata" | "close">> {
  const { envoyPath, config, concurrency, logLevel, componentLogLevel } = options;
  const dir = await writeStandalone(options, keeper.workDir, metadataPort);
  const envoy = await startEnvoy({
    keeper,
    envoyPath,
    hop: config.hop,
    dir,
    configPath: join(dir, BOOTSTRAP_FILE),
    ...(concurrency !== undefined && { concurrency }),
    ...(logLevel !== undefined && { logLevel }),
    ...(componentLogLevel !== undefined && { componentLogLevel }),
  });
  const port = envoy.listeners.get("plain")?.port ?? 0;
  const update = (next: PluginConfig): Promise<void> => write(dir, pluginFile(options, next));
  return { port, origin: `http://127.0.0.1:${port}`, envoy, dir, update };
}

/** Writes what an Envoy is started with into a folder below `workDir`, and returns the folder. Port 0 takes a free one. */
export async function writeStandalone(
  options: Files,
  workDir: string,
  metadataPort: number,
  port = 0,
): Promise<string> {
  const dir = join(workDir, options.config.hop);
  const hop = hopCalled(options.config.hop);
  await mkdir(dir);
  const files = [
    resourceFile("cds", clusters(options, metadataPort)),
    pluginFile(options, options.config),
    resourceFile("lds", [listener(options, hop, dir, port)]),
    bootstrapFile(hop, dir),
  ];
  for (const file of files) await write(dir, file);
  return dir;
}

function pluginFile(options: Pick<StandaloneOptions, "wasmPath">, config: PluginConfig): EnvoyFile {
  const path = options.wasmPath ?? wasmPath();
  return resourceFile("ecds", [pluginResource(hopCalled(config.hop), path, JSON.stringify(config))]);
}

/** Hands connections on to `port` once `opened` is. */
function startGate(port: number, opened = Promise.resolve()): Promise<LocalServer> {
  const server = createServer((incoming) => {
    const outgoing = connect(port, "127.0.0.1");
    for (const socket of [incoming, outgoing]) socket.on("error", () => undefined);
    incoming.on("close", () => outgoing.destroy());
    outgoing.on("close", () => incoming.destroy());
    outgoing.pipe(incoming);
    void opened.then(() => incoming.pipe(outgoing));
  });
  return listen(server, "http");
}

async function write(dir: string, { name, content }: EnvoyFile): Promise<void> {
  const path = join(dir, name);
  await writeFile(`${path}.new`, JSON.stringify(content));
  await rename(`${path}.new`, path);
}

function hopCalled(name: string): GatewayHop {
  const selector = { istio: name };
  return {
    kind: "gateway",
    name,
    namespace: "test",
    selector,
    gateway: undefined,
    port: 443,
    secret: "test-tls",
    edge: true,
    validate: undefined,
    unmatched: "pass",
    bypass: [],
  };
}

function clusters(options: Files, metadataPort: number): readonly JsonObject[] {
  const { config, services, passTo, metadataCluster = metadataPort } = options;
  const metadataName = outboundCluster(METADATA_SERVICE);
  return [
    ...Object.keys(config.backends).map((name) => cluster(name, services[name] ?? { port: 1 })),
    ...(passTo === undefined ? [] : [cluster("pass", passTo)]),
    ...Object.entries(options.clusters ?? {}).map(([name, service]) => cluster(name, service)),
    ...(metadataCluster === "missing" ? [] : [metadataClusterOf(metadataName, metadataCluster)]),
  ];
}

function metadataClusterOf(name: string, place: "empty" | number): JsonObject {
  if (place !== "empty") return cluster(name, { port: place });
  return { ...cluster(name, { port: 1 }), load_assignment: { cluster_name: name } };
}

function cluster(name: string, { port, protocol }: Service): JsonObject {
  const base = endpointCluster(name, { address: "127.0.0.1", port });
  if (protocol !== "http2") return base;
  const explicit_http_config = { http2_protocol_options: HTTP2 };
  return {
    ...base,
    typed_extension_protocol_options: {
      [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, { explicit_http_config }),
    },
  };
}

function listener(options: Files, hop: GatewayHop, dir: string, port: number): JsonObject {
  const { upgrades = ["websocket"], filters = [] } = options;
  const manager = hopConnectionManager(hop, dir, {
    stat_prefix: "plain",
    codec_type: "AUTO",
    route_config: { name: "plain", virtual_hosts: [{ name: "all", domains: ["*"], routes: routes(options) }] },
    upgrade_configs: upgrades.map((type) => ({ upgrade_type: type })),
    http2_protocol_options: HTTP2,
    http_protocol_options: { allow_absolute_url: true, enable_trailers: true },
    use_remote_address: true,
    ...(filters.length > 0 && { http_filters: [...filters, pluginFilter(hop, dir), router()] }),
  });
  return { name: "plain", ...onLoopback(port), filter_chains: [{ filters: [manager] }] };
}

/** As the shim renders them: a route matches the filter's word and nothing else. */
function routes({ config, passTo, upgrades = [], route }: Files): readonly JsonObject[] {
  const chosen = Object.keys(config.backends).flatMap((name) => {
    const headers = [{ name: "x-hopgate-backend", string_match: { exact: name } }];
    const connect = { match: { connect_matcher: {}, headers }, route: { cluster: name, timeout: "0s", ...route } };
    return [
      ...(upgrades.includes("CONNECT") ? [connect] : []),
      { match: { prefix: "/", headers }, route: { cluster: name, timeout: "0s", ...route } },
    ];
  });
  const pass = { match: { prefix: "/" }, route: { cluster: "pass", timeout: "0s", ...route } };
  return passTo === undefined ? chosen : [...chosen, pass];
}

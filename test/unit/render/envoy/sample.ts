import type {
  Backend,
  CloudRunBackend,
  GatewayHop,
  Hop,
  KubernetesBackend,
  Mesh,
  Route,
  WaypointHop,
} from "../../../../shim/config/model.js";
import type { Endpoint, EnvoyFile, GatewayInput, WaypointInput } from "../../../../shim/render/envoy/input.js";
import type { Json, JsonObject } from "../../../../shim/render/envoy/json.js";

/** Meshes and inputs for the tests of the renderer, and a way into what it renders. */

const hopCommon = { edge: false, validate: undefined, unmatched: "pass", bypass: [] } as const;

export const ingress: GatewayHop = {
  ...hopCommon,
  kind: "gateway",
  name: "ingress",
  namespace: "istio-ingress",
  selector: { istio: "ingressgateway" },
  gateway: undefined,
  port: 443,
  secret: "sample-tls",
};

export const agents: WaypointHop = {
  ...hopCommon,
  kind: "waypoint",
  name: "agents",
  namespace: "agents-ns",
  gateway: "waypoint",
  callers: undefined,
};

export function kubernetes(name: string, fields: Partial<KubernetesBackend> = {}): KubernetesBackend {
  return { kind: "kubernetes", name, service: name, namespace: `${name}-ns`, port: 80, through: undefined, ...fields };
}

export function cloudRun(name: string, fields: Partial<CloudRunBackend> = {}): CloudRunBackend {
  const url = `https://${name}-abc123-uc.a.run.app`;
  return {
    kind: "cloudRun",
    name,
    url,
    host: new URL(url).host,
    audience: url,
    region: undefined,
    via: "serviceEntry",
    through: undefined,
    ...fields,
  };
}

/** A route of equal shares; shares matter to the filter only. */
export function route(host: string, ...backends: readonly string[]): Route {
  const arms = backends.map((backend) => ({ backend, weight: 100 / backends.length }));
  return { hosts: [host], arms, sticky: undefined, validate: undefined, open: undefined };
}

export function meshOf(backends: readonly Backend[], routes: readonly Route[], fields: Partial<Mesh> = {}): Mesh {
  const hops: readonly Hop[] = [ingress, agents];
  return {
    name: "sample",
    image: undefined,
    imagePullSecret: undefined,
    revisionNamespace: undefined,
    backends: new Map(backends.map((backend) => [backend.name, backend])),
    validators: new Map(),
    routes,
    hops: new Map(hops.map((hop) => [hop.name, hop])),
    identity: { mode: "metadata", serviceAccount: undefined, timeoutMs: 2000, refreshBeforeSec: 240, maxWaiters: 1000 },
    timing: { expose: "never", key: undefined },
    ...fields,
  };
}

const common = {
  pluginConfig: '{"hop":"x","routes":[],"backends":{}}',
  wasmPath: "/build/hopgate.wasm",
  workDir: "/run/hop",
  port: 0,
  platform: new Map([["metadata.google.internal", { address: "127.0.0.1", port: 9000 }]]),
  identity: { certificateFile: "/pki/hop.pem", keyFile: "/pki/hop.key", caFile: "/pki/mesh-ca.pem" },
};

function endpointsOf(mesh: Mesh): ReadonlyMap<string, Endpoint> {
  return new Map(
    [...mesh.backends.values()].map((backend, index) => [backend.name, endpointOf(backend, 8000 + index)]),
  );
}

function endpointOf(backend: Backend, port: number): Endpoint {
  const place = { address: "127.0.0.1", port };
  return backend.kind === "kubernetes" ? place : { ...place, tls: { name: backend.host, caFile: "/pki/run-ca.pem" } };
}

export function gatewayInput(mesh: Mesh, fields: Partial<GatewayInput> = {}): GatewayInput {
  return {
    ...common,
    hop: ingress,
    mesh,
    backends: endpointsOf(mesh),
    serving: { certificateFile: "/pki/serving.pem", keyFile: "/pki/serving.key" },
    waypointPorts: new Map([["agents", 15008]]),
    ...fields,
  };
}

export function waypointInput(mesh: Mesh, fields: Partial<WaypointInput> = {}): WaypointInput {
  return { ...common, hop: agents, mesh, backends: endpointsOf(mesh), ...fields };
}

export function fileOf(files: readonly EnvoyFile[], name: string): JsonObject {
  const file = files.find((candidate) => candidate.name === name);
  if (file === undefined) throw new Error(`no ${name} among ${files.map((each) => each.name).join(", ")}`);
  return file.content;
}

/** The resource called `name` in the file of a discovery service. */
export function resource(files: readonly EnvoyFile[], file: string, name: string): JsonObject {
  const found = resources(files, file).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name} in ${file}`);
  return found;
}

export function resources(files: readonly EnvoyFile[], file: string): readonly JsonObject[] {
  return fileOf(files, file).resources as readonly JsonObject[];
}

/** Every value of `field`, at any depth, in document order. */
export function everywhere(field: string, json: Json): readonly Json[] {
  if (Array.isArray(json)) return json.flatMap((each: Json) => everywhere(field, each));
  if (typeof json !== "object") return [];
  return Object.entries(json as JsonObject).flatMap(([name, value]) => [
    ...(name === field ? [value] : []),
    ...everywhere(field, value),
  ]);
}

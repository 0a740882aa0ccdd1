import type { GatewayHop, Mesh, WaypointHop } from "../../config/model.js";
import { Failure } from "../../errors.js";
import type { JsonObject } from "./json.js";

/** Where something really is, as against the name that the mesh knows it by. */
export interface Endpoint {
  /** IP address (rendered STATIC) or DNS name (STRICT_DNS). */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
  /**
   * TLS towards the endpoint; absent: plain text. `name` is sent as SNI and must stand in the certificate,
   * `caFile` holds the trusted roots in PEM.
   */
  readonly tls?: { readonly name: string; readonly caFile: string };
  /** `:authority` that the endpoint wants, where it is not the one that the mesh would send. */
  readonly authority?: string;
}

/** A certificate chain and its key, PEM files. */
export interface KeyPair {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/**
 * The workload's certificate, as istiod would issue it: one URI name, `workloadIdentity(hop)`.
 * `caFile` holds the root of the mesh.
 */
export interface WorkloadCertificate extends KeyPair {
  readonly caFile: string;
}

interface HopInput {
  readonly mesh: Mesh;
  /** JSON text of the hop's `PluginConfig`. */
  readonly pluginConfig: string;
  /** Absolute path of hopgate.wasm. */
  readonly wasmPath: string;
  /** Absolute path of the folder that the rendered files are written to; Envoy writes `access.log` there. */
  readonly workDir: string;
  /** Port to listen on at 127.0.0.1; 0 takes a free one, which the admin's `/listeners` tells. */
  readonly port: number;
  /** By name of the backend; every backend that the hop reaches without a waypoint must be there. */
  readonly backends: ReadonlyMap<string, Endpoint>;
  /** By host name; every host of `platformServices(mesh)` must be there. */
  readonly platform: ReadonlyMap<string, Endpoint>;
  readonly identity: WorkloadCertificate;
}

export interface GatewayInput extends HopInput {
  readonly hop: GatewayHop;
  /** What callers see: valid for every host of the routes. */
  readonly serving: KeyPair;
  /** Ports of the waypoints at 127.0.0.1, by name of the hop; every `through` must be there. */
  readonly waypointPorts: ReadonlyMap<string, number>;
}

export interface WaypointInput extends HopInput {
  readonly hop: WaypointHop;
}

/** A file to write into `workDir`. */
export interface EnvoyFile {
  readonly name: string;
  readonly content: JsonObject;
}

/** The file to start Envoy with (`envoy -c`). It alone is read once; Envoy watches the others. */
export const BOOTSTRAP_FILE = "envoy.json";

/** The entry `name`, which the caller owes us. @throws Failure where it is absent. */
export function required<T>(entries: ReadonlyMap<string, T>, name: string, what: string): T {
  const entry = entries.get(name);
  if (entry === undefined) throw new Failure(`The local mesh has no place for the ${what} ${name}.`);
  return entry;
}

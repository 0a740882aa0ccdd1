import { join } from "node:path";

import { type Keeper, openKeeper } from "../../../shim/envoy/keeper.js";
import type { Env } from "../../../shim/envoy/install.js";
import { locateEnvoy } from "../../../shim/envoy/locate.js";
import { Failure } from "../../../shim/errors.js";
import { WorkFiles } from "../../../shim/local/work-files.js";
import { type Addresses, takeAddresses } from "./addresses.js";
import { type Binaries, locateBinaries } from "./binaries.js";
import { Cluster, type Surroundings } from "./cluster.js";
import { Forwarders } from "./forwarder.js";
import { Mesh } from "./mesh.js";
import { Outside } from "./outside.js";
import { Registry } from "./registry.js";

/** What a box runs. */
export interface Programs {
  readonly binaries: Binaries;
  readonly envoyPath: string;
}

interface LocateOptions {
  readonly env: Env;
  readonly signal?: AbortSignal;
  notify(line: string): void;
}

/** Finds what a box runs, or builds and installs it. @throws Failure where that cannot be: without Go, say, or not on Linux */
export async function locatePrograms(options: LocateOptions): Promise<Programs> {
  if (process.platform !== "linux") {
    throw new Failure(`The mesh in a box runs on Linux, and this is ${process.platform}`);
  }
  const { path } = await locateEnvoy({ ...options, install: true });
  return { envoyPath: path, binaries: await locateBinaries(options) };
}

/**
 * A mesh in a box: real Kubernetes APIs, real Istio, real Envoys as its proxies, and an OCI registry, as plain processes on
 * addresses that exist on this machine alone. Nothing of it outlives the process that opened it.
 */
export class Box {
  /** Empty at the start; goes with the box. */
  readonly workDir: string;
  readonly registry: Registry;

  private constructor(
    readonly programs: Programs,
    private readonly keeper: Keeper,
    private readonly addresses: Addresses,
    private readonly forwarders: Forwarders,
    readonly outside: Outside,
  ) {
    this.workDir = keeper.workDir;
    this.registry = new Registry(this.surroundings("registry"), addresses.first);
  }

  /** Starts a box with a registry and nothing else. @throws Failure where addresses cannot be added, as without being root */
  static async open(programs: Programs): Promise<Box> {
    const addresses = await takeAddresses(programs.binaries.path("loopback"));
    const keeper = await openKeeper();
    const forwarders = new Forwarders();
    const outside = await Outside.open(new WorkFiles(keeper.workDir), addresses, forwarders);
    const box = new Box(programs, keeper, addresses, forwarders, outside);
    try {
      await box.registry.start();
      return box;
    } catch (error) {
      await box.close();
      throw error;
    }
  }

  /** Starts a Kubernetes API with Istio's CRDs, but without Istio. `name` is that of its context. */
  async startCluster(name: string): Promise<Cluster> {
    const cluster = new Cluster(name, this.surroundings(name));
    await cluster.start();
    return cluster;
  }

  /** Starts a cluster with Istio in it. */
  async startMesh(name: string): Promise<Mesh> {
    const mesh = new Mesh(await this.startCluster(name), this.outside, this.programs.envoyPath);
    await mesh.istiod.start();
    return mesh;
  }

  /** Ends everything and removes every file and address. May be called twice. */
  async close(): Promise<void> {
    await Promise.all([this.keeper.close(), this.outside.close(), this.forwarders.close()]);
    await this.addresses.release();
  }

  private surroundings(folder: string): Surroundings {
    const { keeper, addresses, forwarders } = this;
    const files = new WorkFiles(join(keeper.workDir, folder));
    return { keeper, addresses, forwarders, files, binaries: this.programs.binaries };
  }
}

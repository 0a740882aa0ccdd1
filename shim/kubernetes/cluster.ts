import type { Mesh } from "../config/model.js";
import { fieldManagerOf } from "../render/istio/labels.js";
import { type ClusterOptions, Connection } from "./connection.js";
import { Objects } from "./objects.js";
import { Preview } from "./preview.js";
import { Proxies } from "./proxies.js";
import { Revisions } from "./revisions.js";
import { Rollout } from "./rollout.js";
import type { WaitOptions } from "./waiting.js";

/** One cluster, and what a mesh has in it. */
export class Cluster {
  readonly objects: Objects;
  readonly proxies: Proxies;
  readonly revisions: Revisions;
  readonly preview: Preview;

  private constructor(
    readonly mesh: Mesh,
    readonly connection: Connection,
  ) {
    this.objects = new Objects(connection, fieldManagerOf(mesh));
    this.proxies = new Proxies(connection, this.objects);
    this.revisions = new Revisions(mesh, this.objects);
    this.preview = new Preview(mesh, this.objects, this.revisions);
  }

  /** @throws UsageError if the kubeconfig cannot be used */
  static open(mesh: Mesh, options: ClusterOptions, signal: AbortSignal): Cluster {
    return new Cluster(mesh, Connection.open(options, signal));
  }

  /** Name of its context. */
  get name(): string {
    return this.connection.context;
  }

  rollout(options: WaitOptions): Rollout {
    return new Rollout(this.mesh, this.objects, this.preview, this.proxies, this.revisions, options);
  }
}

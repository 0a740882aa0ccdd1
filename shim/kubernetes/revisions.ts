import { randomBytes } from "node:crypto";

import type { Mesh } from "../config/model.js";
import { Failure } from "../errors.js";
import { decodeRevision, encodeRevision, type Revision } from "../plan/revision.js";
import { apiPath } from "../render/istio/api-path.js";
import { labelsOf } from "../render/istio/labels.js";
import type { Resource } from "../render/istio/resource.js";
import { revisionName, revisionNames, revisionNamespace } from "../render/istio/revision-names.js";
import { ApiError, each, type Objects } from "./objects.js";

/** The revisions of a mesh, in ten Secrets that are used in turn. */
export class Revisions {
  private readonly versions = new Map<string, string>();

  constructor(
    private readonly mesh: Mesh,
    private readonly objects: Objects,
  ) {}

  /** All that are kept. */
  async list(): Promise<readonly Revision[]> {
    const found = await each(revisionNames(this.mesh), async (name) => {
      const secret = await this.objects.get(this.secret(name, {}));
      const version = secret?.metadata["resourceVersion"];
      if (typeof version === "string") this.versions.set(name, version);
      else this.versions.delete(name);
      const data = secret?.["data"] as { readonly revision?: string } | undefined;
      return decodeRevision(
        data?.revision === undefined ? "" : Buffer.from(data.revision, "base64").toString("latin1"),
      );
    });
    return found.filter((revision) => revision !== undefined);
  }

  /**
   * Writes a revision into its place, over what was there when it was last read or written.
   * @throws Failure if somebody else has written there since
   */
  async write(revision: Revision): Promise<void> {
    const name = revisionName(this.mesh, revision.number);
    const version = this.versions.get(name);
    const data = { revision: Buffer.from(encodeRevision(revision), "latin1").toString("base64") };
    const secret = this.secret(name, { data, type: "hopgate/revision" }, version);
    try {
      const written = await this.objects.request<Resource>(
        version === undefined
          ? // As a manager of its own: of two that create it at the same time, one is in conflict.
            {
              method: "PATCH",
              path: apiPath(secret),
              query: { fieldManager: `hopgate-${randomBytes(8).toString("hex")}` },
              contentType: "application/apply-patch+yaml",
              body: JSON.stringify(secret),
            }
          : { method: "PUT", path: apiPath(secret), body: JSON.stringify(secret) },
        `write revision ${String(revision.number)}`,
      );
      this.versions.set(name, written.metadata["resourceVersion"] as string);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 409) throw error;
      const fix = "Wait until it has ended, and run this again.";
      throw new Failure(`Somebody else is deploying ${this.mesh.name} to this cluster.`, { fix, cause: error });
    }
  }

  /** Removes every revision. */
  async clear(): Promise<void> {
    await each(revisionNames(this.mesh), (name) => this.objects.delete(this.secret(name, {})));
    this.versions.clear();
  }

  private secret(name: string, fields: { type?: string; data?: { revision: string } }, version?: string): Resource {
    return {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name,
        namespace: revisionNamespace(this.mesh),
        labels: labelsOf(this.mesh, undefined),
        ...(version !== undefined && { resourceVersion: version }),
      },
      ...(fields.type !== undefined && { type: fields.type }),
      ...(fields.data !== undefined && { data: fields.data }),
    };
  }
}

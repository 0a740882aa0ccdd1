import { existsSync, readFileSync } from "node:fs";

import type { Mesh } from "../config/model.js";
import { examine, type Result } from "../doctor/check.js";
import { ALL_CLUSTER_CHECKS } from "../doctor/checks.js";
import { CONNECTION_CHECKS } from "../doctor/connection.js";
import { IMAGE_CHECKS } from "../doctor/image.js";
import type { ClusterSeen, ImageSeen } from "../doctor/seen.js";
import type { Cluster } from "../kubernetes/cluster.js";
import { apiServerFailure, type Plan, Survey } from "../kubernetes/survey.js";
import { stampOf } from "../module/stamp.js";
import { inspectImage } from "../oci/inspect.js";
import type { Io } from "../output/io.js";
import { packagePath } from "../package-root.js";
import type { ImageReference } from "../render/image.js";

export interface ImageExamination {
  readonly results: readonly Result[];
  /** undefined: it could not be had. */
  readonly module: Uint8Array | undefined;
}

/** The checks of an image, which is pulled for that. */
export async function examineImage(
  mesh: Mesh,
  reference: ImageReference,
  plainHttp: boolean,
  io: Io,
  signal: AbortSignal,
): Promise<ImageExamination> {
  const { answer, module } = await inspectImage(reference, ownBuild(), { env: io.env, signal, plainHttp });
  const seen: ImageSeen = { reference, pullSecret: mesh.imagePullSecret, plainHttp, answer };
  return { results: examine(IMAGE_CHECKS, seen), module };
}

/** Name of the build that came with this command; undefined: there is none, as in a clone that was not built. */
function ownBuild(): string | undefined {
  const path = packagePath("build", "hopgate.wasm");
  return existsSync(path) ? stampOf(readFileSync(path)) : undefined;
}

/** What the checks of a cluster came to, and what they went by. */
export interface ClusterExamination {
  readonly context: string;
  readonly results: readonly Result[];
  /** undefined: the API server did not answer. */
  readonly seen: ClusterSeen | undefined;
}

/** All checks of a cluster. `plan` is asked for once its API server has answered. */
export async function examineCluster(cluster: Cluster, plan: () => Promise<Plan>): Promise<ClusterExamination> {
  const context = cluster.name;
  const failure = await apiServerFailure(cluster);
  const connection = examine(CONNECTION_CHECKS, { context, failure });
  if (failure !== undefined) {
    const skipped = examine(ALL_CLUSTER_CHECKS, { skipped: "the API server does not answer" });
    return { context, results: [...connection, ...skipped], seen: undefined };
  }
  const seen = await new Survey(cluster, await plan()).read("deployed");
  const [before, after] = [false, true].map((isAfter) =>
    ALL_CLUSTER_CHECKS.filter((check) => (check.after === true) === isAfter),
  );
  return {
    context,
    seen,
    results: [
      ...connection,
      ...examine(before ?? [], seen),
      ...examine(after ?? [], seen.deployed === undefined ? { skipped: whyNotDeployed(seen) } : seen),
    ],
  };
}

function whyNotDeployed({ revisions }: ClusterSeen): string {
  return "unknown" in revisions
    ? `whether anything is deployed is not known: ${revisions.unknown}`
    : "nothing is deployed";
}

/** The checks of a cluster that can be known before anything is deployed. */
export async function examineBefore(cluster: Cluster, plan: Plan): Promise<readonly Result[]> {
  const seen = await new Survey(cluster, plan).read("before");
  return examine(
    ALL_CLUSTER_CHECKS.filter(({ after }) => after !== true),
    seen,
  );
}

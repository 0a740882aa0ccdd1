import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Mesh } from "../config/model.js";
import { errorCode, Failure, UsageError } from "../errors.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { NO_IMAGE } from "../render/image.js";
import { commentOn, isPartOfAnothers, serverSide } from "../render/istio/another.js";
import { isCloudRun } from "../render/istio/backends.js";
import { googleCloudScript } from "../render/istio/google-cloud.js";
import { kustomization } from "../render/istio/kustomize.js";
import { roles } from "../render/istio/rbac.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { inOrder, meshResources, type MeshResources } from "../render/istio/resources.js";
import { yamlText } from "../render/yaml.js";
import { imageOf, type MeshOptions } from "./mesh-options.js";
import { loadChecked } from "./preflight.js";

export interface RenderCommandOptions extends MeshOptions {
  readonly output: "yaml" | "json";
  /** The title of one resource, to print that alone. */
  readonly only?: string | undefined;
  /** A folder to write a kustomization into, instead of printing. */
  readonly kustomize?: string | undefined;
  /** Print the roles instead. */
  readonly rbac?: boolean | undefined;
  /** Print what is to be done in Google Cloud instead. */
  readonly gcloud?: boolean | undefined;
}

/** Prints what `deploy` would apply. Touches no cluster. */
export async function render(options: RenderCommandOptions, io: Io): Promise<number> {
  const mesh = await loadChecked(options.config);
  if (options.gcloud === true) {
    io.stdout.write(googleCloudScript(mesh));
    return 0;
  }
  if (options.rbac === true) {
    // Whoever gives rights has no image yet, and none is in them.
    print(mesh, roles(mesh, meshResources(mesh, { image: NO_IMAGE, api: options.api })), options, io);
    return 0;
  }
  const resources = meshResources(mesh, { image: imageOf(mesh, options), api: options.api });
  if (options.only !== undefined) {
    print(mesh, [theOne(inOrder(resources), options.only)], options, io);
    return 0;
  }
  if (options.kustomize === undefined) print(mesh, inOrder(resources), options, io);
  else writeKustomization(mesh, resources, options.kustomize, io);
  for (const note of notes(mesh, inOrder(resources)))
    io.stderr.write(`${colours(io, io.stderr)("yellow", "note:")} ${note}\n`);
  return 0;
}

function theOne(resources: readonly Resource[], title: string): Resource {
  const found = resources.find((resource) => titleOf(resource) === title);
  if (found !== undefined) return found;
  throw new UsageError(`--only: there is no ${title}`, `write one of ${resources.map(titleOf).join(", ")}`);
}

function print(mesh: Mesh, resources: readonly Resource[], { output }: RenderCommandOptions, io: Io): void {
  if (output === "yaml") io.stdout.write(yamlText(resources, commentOn(mesh)));
  else io.stdout.write(`${JSON.stringify({ apiVersion: "v1", kind: "List", items: resources }, null, 2)}\n`);
}

function writeKustomization(mesh: Mesh, resources: MeshResources, folder: string, io: Io): void {
  for (const { path, content } of kustomization(mesh, resources)) {
    const file = join(folder, path);
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    } catch (cause) {
      throw new Failure(`${file} cannot be written: ${errorCode(cause)}.`, { cause });
    }
    io.stdout.write(`${file}\n`);
  }
}

/** What a reader of the resources should know, and cannot see in them. */
function notes(mesh: Mesh, resources: readonly Resource[]): readonly string[] {
  const cloudRun = [...mesh.backends.values()].filter(isCloudRun);
  const ownBackend = cloudRun.filter(({ via }) => via === "gcpBackend").map(({ name }) => name);
  const parts = resources.filter(isPartOfAnothers).map(titleOf);
  return [
    ...(parts.length === 0
      ? []
      : [
          `${parts.join(", ")}: only a part, of what may be there already. ${serverSide(mesh)} keeps the rest; without --server-side it would be lost.`,
        ]),
    ...(ownBackend.length === 0
      ? []
      : [
          `${ownBackend.join(", ")}: rendered as ServiceEntry. hopgate deploy adds a GCPBackend where the cluster has that kind, by the schema that it has there.`,
        ]),
    ...(cloudRun.length === 0
      ? []
      : ["service accounts and the ingress of Cloud Run are yours to set: hopgate render --gcloud prints the lines."]),
  ];
}

import type { RegistryAnswer } from "../doctor/seen.js";
import { Failure } from "../errors.js";
import { stampOf } from "../module/stamp.js";
import type { ImageReference } from "../render/image.js";
import { type Manifest, moduleIn, moduleLayerOf } from "./image.js";
import { NotThere, type RegistryOptions, Repository, Unauthorised, Unreachable } from "./registry.js";

/** An image as a proxy would find it. */
export interface Inspection {
  readonly answer: RegistryAnswer;
  /** undefined: there is none that could be used. */
  readonly module: Buffer | undefined;
}

/** Pulls an image as a proxy would, and says what came of it. */
export async function inspectImage(
  reference: ImageReference,
  ownBuild: string | undefined,
  options: RegistryOptions,
): Promise<Inspection> {
  const repository = new Repository(reference, options);
  try {
    const { bytes, mediaType } = await repository.manifest(reference.digest ?? reference.tag ?? "latest");
    const manifest = manifestIn(bytes);
    const layer = manifest === undefined ? undefined : moduleLayerOf(manifest);
    if (layer === undefined) {
      const refusal = manifest === undefined ? `it is no image: ${mediaType}` : `its layers are ${typesOf(manifest)}`;
      return { answer: found(repository, { refusal, build: undefined, ownBuild }), module: undefined };
    }
    const module = moduleIn(layer, await repository.blob(layer.digest));
    const refusal = module === undefined ? "its layer has no plugin.wasm" : undefined;
    const build = module === undefined ? undefined : stampOf(module);
    return { answer: found(repository, { refusal, build, ownBuild }), module };
  } catch (error) {
    if (error instanceof Failure) return { answer: { kind: kindOf(error), reason: error.message }, module: undefined };
    throw error;
  }
}

function found(
  { usedCredentials }: Repository,
  what: Pick<Extract<RegistryAnswer, { kind: "found" }>, "refusal" | "build" | "ownBuild">,
): RegistryAnswer {
  return { kind: "found", usedCredentials, ...what };
}

function kindOf(error: Failure): "unreachable" | "unauthorised" | "missing" | "other" {
  if (error instanceof Unreachable) return "unreachable";
  if (error instanceof Unauthorised) return "unauthorised";
  return error instanceof NotThere ? "missing" : "other";
}

/** undefined: an index of images, or something else. */
function manifestIn(bytes: Buffer): Manifest | undefined {
  try {
    const manifest = JSON.parse(bytes.toString("utf8")) as Partial<Manifest>;
    return Array.isArray(manifest.layers) ? (manifest as Manifest) : undefined;
  } catch {
    return undefined;
  }
}

function typesOf({ layers }: Manifest): string {
  return layers.map(({ mediaType }) => mediaType).join(", ") || "none";
}

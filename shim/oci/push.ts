import { Failure } from "../errors.js";
import type { ImageReference } from "../render/image.js";
import { type Image, type Manifest, moduleIn, moduleLayerOf } from "./image.js";
import { Repository, type RegistryOptions } from "./registry.js";

/** Stores an image under a tag, and looks whether what comes back by its digest is the module that went in. */
export async function pushImage(
  reference: ImageReference & { readonly tag: string },
  image: Image,
  module: Uint8Array,
  options: RegistryOptions,
): Promise<void> {
  const repository = new Repository(reference, options);
  for (const blob of image.blobs) await repository.putBlob(blob);
  await repository.putManifest(reference.tag, image.manifest);
  const pulled = await pullModule({ ...reference, digest: image.manifest.digest }, options);
  if (Buffer.compare(pulled, module) !== 0) throw new Failure("The registry does not give back what was pushed.");
}

/**
 * The module of an image, taken out as Istio does.
 * @throws Failure if the registry has no such image, or Istio would refuse it
 */
async function pullModule(
  reference: ImageReference & { readonly digest: string },
  options: RegistryOptions,
): Promise<Buffer> {
  const repository = new Repository(reference, options);
  const { bytes } = await repository.manifest(reference.digest);
  const manifest = JSON.parse(bytes.toString("utf8")) as Partial<Manifest>;
  const layer = Array.isArray(manifest.layers) ? moduleLayerOf(manifest as Manifest) : undefined;
  if (layer === undefined) {
    const fix =
      "Push it with hopgate push: the last layer has to be a tar+gzip with plugin.wasm, or one of exactly two the module itself.";
    throw new Failure(`Istio would refuse the image ${reference.digest}: its layers are of no shape that it knows.`, {
      fix,
    });
  }
  const module = moduleIn(layer, await repository.blob(layer.digest));
  if (module !== undefined) return module;
  throw new Failure(`Istio would refuse the image ${reference.digest}: its layer has no plugin.wasm.`);
}

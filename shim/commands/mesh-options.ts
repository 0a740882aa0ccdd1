import type { Mesh } from "../config/model.js";
import { UsageError } from "../errors.js";
import { parsePinnedImage, type PinnedImage } from "../render/image.js";
import type { PluginApi } from "../render/istio/plugin.js";

/** What every command that renders resources takes. */
export interface MeshOptions {
  readonly config: string;
  /** Reference of the filter's image; else `image` of the file. */
  readonly image?: string | undefined;
  readonly api: PluginApi;
}

/** The image to deploy: what the option says, else the file. @throws UsageError if neither names one that cannot change */
export function imageOf(mesh: Mesh, { image, config }: MeshOptions): PinnedImage {
  const text = image ?? mesh.image;
  if (text !== undefined) return parsePinnedImage(text);
  throw new UsageError(
    "which image of the filter the proxies shall load is not said",
    `push one with hopgate push REGISTRY/REPOSITORY, and write what it prints as image: in ${config}, or give it with --image`,
  );
}

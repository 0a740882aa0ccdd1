import { UsageError } from "../errors.js";

/** A reference to an image in an OCI registry. */
export interface ImageReference {
  /** Host, with a port where one is given. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
}

const REFERENCE =
  /^(?:oci:\/\/)?(?<registry>[^/@]+)\/(?<repository>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;
const REGISTRY = /^(?:localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+|[A-Za-z0-9.-]+(?=:)|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/;

const PINNED = "write REGISTRY/REPOSITORY@sha256:DIGEST, as hopgate push prints it";

/** Reads `REGISTRY/REPOSITORY[:TAG][@sha256:DIGEST]`. @throws UsageError if it is none */
export function parseImage(text: string, fix = PINNED): ImageReference {
  const { registry = "", repository = "", tag, digest } = REFERENCE.exec(text)?.groups ?? {};
  if (REGISTRY.test(registry)) return { registry, repository, tag, digest };
  throw new UsageError(`${JSON.stringify(text)} is not a reference to an image`, fix);
}

/** An image that cannot change. */
export type PinnedImage = ImageReference & { readonly digest: string };

/** What stands for an image that is not known, where only the plugins' names and kinds matter. */
export const NO_IMAGE: PinnedImage = {
  registry: "registry.invalid",
  repository: "hopgate",
  tag: undefined,
  digest: `sha256:${"0".repeat(64)}`,
};

/**
 * Reads a reference that has a digest. @throws UsageError without: a proxy that starts tomorrow would run something else
 * than one that started today.
 */
export function parsePinnedImage(text: string): PinnedImage {
  const image = parseImage(text);
  const { digest } = image;
  if (digest !== undefined) return { ...image, digest };
  throw new UsageError(`the image ${text} has no digest, so what it is can change`, PINNED);
}

/** `REGISTRY/REPOSITORY@DIGEST`: a tag beside the digest would be a word that nobody reads. */
export function pinnedText({ registry, repository, digest }: PinnedImage): string {
  return `${registry}/${repository}@${digest}`;
}

/** Whether `host`, which may have a port behind, is this machine itself. */
export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host);
}

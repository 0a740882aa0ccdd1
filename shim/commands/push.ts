import { readFileSync } from "node:fs";

import { errorCode, UsageError } from "../errors.js";
import type { Io } from "../output/io.js";
import { packageVersion, wasmPath } from "../package-root.js";
import { stampOf } from "../module/stamp.js";
import { type ImageShape, imageOf } from "../oci/image.js";
import { pushImage } from "../oci/push.js";
import { parseImage, pinnedText } from "../render/image.js";

export interface PushOptions {
  readonly shape: ImageShape;
  /** The module to push; else the one that was built. */
  readonly module?: string | undefined;
  readonly plainHttp?: boolean | undefined;
  readonly output: "text" | "json";
}

/** Pushes the module as an image, and prints the reference that cannot change. */
export async function push(reference: string, options: PushOptions, io: Io, signal: AbortSignal): Promise<number> {
  const target = parseImage(reference, "write REGISTRY/REPOSITORY or REGISTRY/REPOSITORY:TAG");
  if (target.digest !== undefined) {
    throw new UsageError(
      "the digest of what is pushed is not yours to choose",
      "write REGISTRY/REPOSITORY or REGISTRY/REPOSITORY:TAG",
    );
  }
  const tag = target.tag ?? packageVersion();
  const module = readModule(options.module ?? wasmPath());
  const stamp = stampOf(module);
  if (stamp === undefined)
    throw new UsageError(
      "the module is not one that hopgate build made",
      "run npm run build, or name another with --module",
    );
  const image = imageOf(module, options.shape, imageAnnotations());
  const { digest } = image.manifest;
  await pushImage({ ...target, tag }, image, module, { env: io.env, signal, plainHttp: options.plainHttp === true });
  const pinned = pinnedText({ ...target, digest });
  const facts = { image: pinned, tag, digest, shape: options.shape, module: stamp, size_bytes: module.length };
  io.stdout.write(options.output === "json" ? `${JSON.stringify(facts, null, 2)}\n` : `${pinned}\n`);
  io.stderr.write(`pushed as ${target.registry}/${target.repository}:${tag}, and read back\n`);
  return 0;
}

function readModule(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`${path} cannot be read: ${errorCode(cause)}`, "name a file with --module");
  }
}

/** https://github.com/opencontainers/image-spec/blob/main/annotations.md; no time, so that the same module has the same digest. */
export function imageAnnotations(): Readonly<Record<string, string>> {
  return {
    "org.opencontainers.image.title": "hopgate",
    "org.opencontainers.image.description":
      "Envoy filter: routes by host, adds ID tokens for Cloud Run, measures each hop",
    "org.opencontainers.image.version": packageVersion(),
    "org.opencontainers.image.licenses": "Apache-2.0",
  };
}

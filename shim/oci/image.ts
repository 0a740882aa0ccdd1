import { createHash } from "node:crypto";
import { crc32, gunzipSync } from "node:zlib";

import { fileOf, tarOf } from "./tar.js";

/** The two shapes in which Istio takes a module (pkg/wasm/imagefetcher.go; https://github.com/solo-io/wasm/tree/master/spec). */
export type ImageShape = "compat" | "artifact";

/** Something in a registry, found by the hash of its bytes. */
export interface Blob {
  readonly mediaType: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly bytes: Buffer;
}

/** An image that is ready to be pushed. */
export interface Image {
  readonly manifest: Blob;
  /** What the manifest refers to. */
  readonly blobs: readonly Blob[];
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Manifest {
  readonly mediaType?: string;
  readonly layers: readonly Descriptor[];
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const TAR_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_TAR_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const WASM_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm";
const MODULE_FILE = "plugin.wasm";

/** What to ask a registry for. */
export const MANIFEST_TYPES = [MANIFEST, DOCKER_MANIFEST];

/** The image of a module. The same module and annotations give the same digest. */
export function imageOf(module: Uint8Array, shape: ImageShape, annotations: Readonly<Record<string, string>>): Image {
  const [config, layers] = shape === "compat" ? compat(module) : artifact(module);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
    annotations,
  };
  return { manifest: blob(MANIFEST, JSON.stringify(manifest)), blobs: [config, ...layers] };
}

/** An image as container tools know it, with one layer of one file. */
function compat(module: Uint8Array): readonly [Blob, readonly Blob[]] {
  const archive = tarOf(MODULE_FILE, module);
  const config = {
    architecture: "wasm",
    os: "wasi",
    rootfs: { type: "layers", diff_ids: [digestOf(archive)] },
    config: {},
  };
  return [
    blob("application/vnd.oci.image.config.v1+json", JSON.stringify(config)),
    [blob(TAR_LAYER, storedGzip(archive))],
  ];
}

/** Istio counts: exactly two layers, of which one is the module as it is. */
function artifact(module: Uint8Array): readonly [Blob, readonly Blob[]] {
  const runtime = { type: "envoy_proxy", abiVersions: ["0.2.1"], config: { rootIds: [] } };
  return [
    // Not the same bytes as the layer: tools find blobs by their digest alone.
    blob("application/vnd.module.wasm.config.v1+json", JSON.stringify({ type: runtime.type })),
    [blob("application/vnd.module.wasm.runtime_config.v1+json", JSON.stringify(runtime)), blob(WASM_LAYER, module)],
  ];
}

/**
 * gzip (RFC 1952) without compression. What zlib writes differs from version to version, and the digest shall not; a module is
 * small.
 */
function storedGzip(bytes: Uint8Array): Buffer {
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MAX_BLOCK_BYTES) {
    const content = bytes.subarray(at, at + MAX_BLOCK_BYTES);
    const head = Buffer.alloc(5);
    head[0] = at + MAX_BLOCK_BYTES >= bytes.length ? 1 : 0;
    head.writeUInt16LE(content.length, 1);
    head.writeUInt16LE(~content.length & 0xffff, 3);
    blocks.push(head, content);
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(bytes), 0);
  trailer.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]), ...blocks, trailer]);
}

const MAX_BLOCK_BYTES = 65_535;

/** Which of the layers Istio reads, and how; undefined: it refuses the image. */
export function moduleLayerOf({ mediaType, layers }: Manifest): Descriptor | undefined {
  const last = layers.at(-1);
  const tarLayer = mediaType === DOCKER_MANIFEST ? DOCKER_TAR_LAYER : TAR_LAYER;
  if (last?.mediaType === tarLayer) return last;
  if (mediaType === DOCKER_MANIFEST || layers.length !== 2) return undefined;
  return layers.find((layer) => layer.mediaType === WASM_LAYER);
}

/** The module in a layer; undefined: there is none. */
export function moduleIn({ mediaType }: Descriptor, bytes: Uint8Array): Buffer | undefined {
  if (mediaType === WASM_LAYER) return Buffer.from(bytes);
  try {
    return fileOf(gunzipSync(bytes, { maxOutputLength: MAX_MODULE_BYTES }), MODULE_FILE);
  } catch {
    return undefined;
  }
}

/** More than any module of ours; Istio stops at 256 MiB. */
export const MAX_MODULE_BYTES = 64 * 1024 * 1024;

function descriptorOf({ mediaType, digest, bytes }: Blob): Descriptor {
  return { mediaType, digest, size: bytes.length };
}

function blob(mediaType: string, content: string | Uint8Array): Blob {
  const bytes = Buffer.from(content as Uint8Array);
  return { mediaType, digest: digestOf(bytes), bytes };
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

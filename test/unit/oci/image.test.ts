import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { digestOf, imageOf, type Manifest, moduleIn, moduleLayerOf } from "../../../shim/oci/image.js";
import { fileOf, tarOf } from "../../../shim/oci/tar.js";

const MODULE = Buffer.alloc(150_000, "module");
const ANNOTATIONS = { "org.opencontainers.image.title": "a test" };

describe.each(["compat", "artifact"] as const)("an image of the shape %s", (shape) => {
  const { manifest, blobs } = imageOf(MODULE, shape, ANNOTATIONS);
  const parsed = JSON.parse(manifest.bytes.toString()) as Manifest & { config: object; annotations: object };

  it("refers to its blobs by size and digest", () => {
    const described = blobs.map(({ mediaType, digest, bytes }) => ({ mediaType, digest, size: bytes.length }));
    expect([parsed.config, ...parsed.layers]).toEqual(described);
    for (const { digest, bytes } of [manifest, ...blobs]) expect(digest).toBe(digestOf(bytes));
    expect(parsed.annotations).toEqual(ANNOTATIONS);
  });

  it("gives the module back as Istio takes it out", () => {
    const layer = moduleLayerOf(parsed);
    const content = blobs.find(({ digest }) => digest === layer?.digest)?.bytes ?? Buffer.alloc(0);
    expect(layer === undefined ? undefined : moduleIn(layer, content)?.equals(MODULE)).toBe(true);
  });

  it("has the same digest each time, and another with another module or annotation", () => {
    const digest = (module: Buffer, annotations: Record<string, string>): string =>
      imageOf(module, shape, annotations).manifest.digest;
    expect(digest(Buffer.from(MODULE), { ...ANNOTATIONS })).toBe(manifest.digest);
    expect(digest(Buffer.concat([MODULE, Buffer.from("x")]), ANNOTATIONS)).not.toBe(manifest.digest);
    expect(digest(MODULE, {})).not.toBe(manifest.digest);
  });
});

it("the digests do not depend on the machine or on the version of zlib", () => {
  const digests = (["compat", "artifact"] as const).map((shape) => imageOf(MODULE, shape, ANNOTATIONS).manifest.digest);
  expect(digests).toEqual([
    "sha256:40ebc33eead60f772dab3aa52beb931325fa8b80eb1042f0153c12999c6c6448",
    "sha256:eec703c508295acddbcda45d765a7a7f5592fa465cc1f29a18cebd694b63ecf2",
  ]);
});

describe("Istio refuses", () => {
  const TAR = "application/vnd.oci.image.layer.v1.tar+gzip";
  const WASM = "application/vnd.module.wasm.content.layer.v1+wasm";
  const layers = (...types: string[]): Manifest["layers"] =>
    types.map((mediaType) => ({ mediaType, digest: "", size: 0 }));

  it.each([
    ["no layers", layers()],
    ["one module layer", layers(WASM)],
    ["three layers with the module first", layers(WASM, "a", "b")],
    ["a tar layer that is not the last", layers(TAR, "a", "b")],
    ["two layers of other kinds", layers("a", "b")],
  ])("%s", (_, list) => {
    expect(moduleLayerOf({ layers: list })).toBeUndefined();
  });

  it("a layer of Docker's in a manifest of OCI's, and the other way round", () => {
    const docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    const manifest = "application/vnd.docker.distribution.manifest.v2+json";
    expect(moduleLayerOf({ layers: layers(docker) })).toBeUndefined();
    expect(moduleLayerOf({ mediaType: manifest, layers: layers(TAR) })).toBeUndefined();
    expect(moduleLayerOf({ mediaType: manifest, layers: layers(docker) })).toBeDefined();
  });

  it("a layer without plugin.wasm, or one that is no archive", () => {
    const [, layer] = imageOf(MODULE, "compat", {}).blobs;
    const other = gunzipSync(layer?.bytes ?? "");
    other.write("another.wasm", 0);
    expect(fileOf(other, "plugin.wasm")).toBeUndefined();
    expect(moduleIn({ mediaType: TAR, digest: "", size: 0 }, Buffer.from("no gzip"))).toBeUndefined();
  });
});

describe("an archive", () => {
  it("is what tar reads", () => {
    const folder = mkdtempSync(join(tmpdir(), "hopgate-tar-test-"));
    try {
      writeFileSync(join(folder, "a.tar"), tarOf("plugin.wasm", MODULE));
      execFileSync("tar", ["-xf", "a.tar"], { cwd: folder });
      expect(readFileSync(join(folder, "plugin.wasm")).equals(MODULE)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("that tar wrote is read, whatever comes before", () => {
    const folder = mkdtempSync(join(tmpdir(), "hopgate-tar-test-"));
    try {
      writeFileSync(join(folder, "plugin.wasm"), MODULE);
      writeFileSync(join(folder, "README"), "before");
      execFileSync("tar", ["--format=ustar", "-cf", "a.tar", "./README", "./plugin.wasm"], { cwd: folder });
      expect(fileOf(readFileSync(join(folder, "a.tar")), "plugin.wasm")?.equals(MODULE)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("that is cut off has nothing", () => {
    expect(fileOf(tarOf("plugin.wasm", MODULE).subarray(0, 1000), "plugin.wasm")).toBeUndefined();
  });
});

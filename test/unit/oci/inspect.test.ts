import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { stamped } from "../../../shim/module/stamp.js";
import { digestOf, type Image, type ImageShape, imageOf } from "../../../shim/oci/image.js";
import { inspectImage } from "../../../shim/oci/inspect.js";
import { parseImage } from "../../../shim/render/image.js";

const MODULE = stamped(Buffer.from(`\0asm hopgate module ${"0".repeat(16)} of a test`));
const BUILD = /^[0-9a-f]{16}$/;

/** A registry with one image, as it answers. */
let server: Server;
let answers: Map<string, { readonly status: number; readonly headers?: Record<string, string>; readonly body: Buffer }>;
let asked: (string | undefined)[];

beforeEach(async () => {
  answers = new Map();
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    const { status, headers = {}, body } = answers.get(request.url ?? "") ?? { status: 404, body: Buffer.from("{}") };
    if (status === 401 && request.headers.authorization === "Basic bWU6c2VjcmV0") {
      response.writeHead(200).end(body);
      return;
    }
    response.writeHead(status, headers).end(status === 401 ? "" : body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(() => {
  server.close();
});

function host(): string {
  return `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

function serve(image: Image): void {
  const { manifest, blobs } = image;
  answers.set(`/v2/hopgate/filter/manifests/${manifest.digest}`, {
    status: 200,
    headers: { "content-type": manifest.mediaType },
    body: manifest.bytes,
  });
  for (const { digest, bytes } of blobs)
    answers.set(`/v2/hopgate/filter/blobs/${digest}`, { status: 200, body: bytes });
}

function serveManifest(manifest: object): string {
  const body = Buffer.from(JSON.stringify(manifest));
  const digest = digestOf(body);
  answers.set(`/v2/hopgate/filter/manifests/${digest}`, { status: 200, headers: { "content-type": "x/y" }, body });
  return digest;
}

function inspect(reference: string, env: Record<string, string> = {}) {
  const options = { env: { HOME: "/nowhere", ...env }, signal: new AbortController().signal, plainHttp: false };
  return inspectImage(parseImage(`${host()}/hopgate/filter${reference}`), "own", options);
}

describe("an image is inspected as a proxy would pull it", () => {
  it.each<ImageShape>(["compat", "artifact"])("in the shape %s, with the build that is in it", async (shape) => {
    const image = imageOf(MODULE, shape, {});
    serve(image);
    const { answer, module } = await inspect(`@${image.manifest.digest}`);
    expect(answer).toEqual({
      kind: "found",
      usedCredentials: false,
      refusal: undefined,
      build: expect.stringMatching(BUILD) as string,
      ownBuild: "own",
    });
    expect(module).toEqual(Buffer.from(MODULE));
  });

  it("with another module", async () => {
    const image = imageOf(Buffer.from("\0asm of somebody"), "compat", {});
    serve(image);
    expect((await inspect(`@${image.manifest.digest}`)).answer).toMatchObject({ kind: "found", build: undefined });
  });

  it("with layers that Istio does not take", async () => {
    const digest = serveManifest({ layers: [{ mediaType: "application/wasm", digest: "sha256:0", size: 1 }] });
    const { answer, module } = await inspect(`@${digest}`);
    expect(answer).toMatchObject({ kind: "found", refusal: "its layers are application/wasm" });
    expect(module).toBeUndefined();
  });

  it("where it is an index of images", async () => {
    const digest = serveManifest({ manifests: [] });
    expect((await inspect(`@${digest}`)).answer).toMatchObject({ kind: "found", refusal: "it is no image: x/y" });
  });

  it("where it is not there, by its digest or by latest", async () => {
    expect((await inspect(`@sha256:${"0".repeat(64)}`)).answer).toMatchObject({ kind: "missing" });
    const { answer } = await inspect("");
    expect(answer).toMatchObject({ kind: "missing", reason: expect.stringContaining("latest") as string });
  });

  it("where another is given for it", async () => {
    const image = imageOf(MODULE, "compat", {});
    serve(image);
    const other = `sha256:${"1".repeat(64)}`;
    const found = answers.get(`/v2/hopgate/filter/manifests/${image.manifest.digest}`);
    if (found !== undefined) answers.set(`/v2/hopgate/filter/manifests/${other}`, found);
    expect((await inspect(`@${other}`)).answer).toMatchObject({ kind: "other" });
  });

  it("where the registry says no", async () => {
    const digest = `sha256:${"2".repeat(64)}`;
    answers.set(`/v2/hopgate/filter/manifests/${digest}`, {
      status: 401,
      headers: { "www-authenticate": 'Basic realm="x"' },
      body: Buffer.alloc(0),
    });
    expect((await inspect(`@${digest}`)).answer).toMatchObject({ kind: "unauthorised" });
    expect(asked).toEqual([undefined]);
  });

  it("with credentials, and says that it used them", async () => {
    const image = imageOf(MODULE, "compat", {});
    serve(image);
    const path = `/v2/hopgate/filter/manifests/${image.manifest.digest}`;
    const challenge = { "www-authenticate": 'Basic realm="x"' };
    answers.set(path, { status: 401, headers: challenge, body: image.manifest.bytes });
    const folder = mkdtempSync(join(tmpdir(), "hopgate-inspect-test-"));
    try {
      const auths = { [host()]: { auth: "bWU6c2VjcmV0" } };
      writeFileSync(join(folder, "config.json"), JSON.stringify({ auths }));
      const { answer } = await inspect(`@${image.manifest.digest}`, { DOCKER_CONFIG: folder });
      expect(answer).toMatchObject({ kind: "found", usedCredentials: true });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("where there is no registry", async () => {
    const reference = `@sha256:${"3".repeat(64)}`;
    const address = host();
    server.close();
    await once(server, "close");
    const options = { env: { HOME: "/nowhere" }, signal: new AbortController().signal, plainHttp: false };
    const { answer } = await inspectImage(parseImage(`${address}/hopgate/filter${reference}`), undefined, options);
    expect(answer).toMatchObject({ kind: "unreachable", reason: expect.stringContaining("ECONNREFUSED") as string });
  });
});

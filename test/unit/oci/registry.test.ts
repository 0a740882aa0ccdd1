import { afterEach, describe, expect, it, vi } from "vitest";

import { digestOf } from "../../../shim/oci/image.js";
import { Repository } from "../../../shim/oci/registry.js";
import { temporaryFolder } from "../commands/support.js";

const HOST = "registry.example.com";
const BYTES = Buffer.from("a layer");

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly hasCredentials: boolean;
}

/** Pushes a blob to a registry with TLS that wants credentials and has the upload at `location`. Returns what was sent. */
async function push(location: string): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (url: URL, { method = "GET", headers }: RequestInit) => {
    const hasCredentials = new Headers(headers).has("authorization");
    asked.push({ method, url: url.href, hasCredentials });
    if (!hasCredentials && url.host === HOST)
      return Promise.resolve(new Response("", { status: 401, headers: { "www-authenticate": 'Basic realm="x"' } }));
    const status = { HEAD: 404, POST: 202, PUT: 201 }[method] ?? 500;
    const response = new Response("", { status, headers: { location } });
    Object.defineProperty(response, "url", { value: url.href });
    return Promise.resolve(response);
  });
  const folder = temporaryFolder();
  folder.write("config.json", JSON.stringify({ auths: { [HOST]: { auth: "bWU6c2VjcmV0" } } }));
  const options = { env: { DOCKER_CONFIG: folder.path }, signal: new AbortController().signal, plainHttp: false };
  try {
    const repository = new Repository({ registry: HOST, repository: "hopgate/filter" }, options);
    await repository.putBlob({ mediaType: "x/y", digest: digestOf(BYTES), bytes: BYTES });
  } finally {
    folder.remove();
  }
  return asked.filter(({ method }) => method === "PUT");
}

describe("the upload of a blob", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it.each([
    ["relative", "/v2/uploads/1"],
    ["absolute", `https://${HOST}/v2/uploads/1`],
    // As one behind a proxy that ends TLS calls itself.
    ["of the same host without TLS", `http://${HOST}/v2/uploads/1`],
  ])("at a place that is %s stays on TLS, with the credentials", async (_, location) => {
    const [put, ...more] = await push(location);
    expect(more).toEqual([]);
    expect(put?.url).toContain(`https://${HOST}/v2/uploads/1?digest=sha256`);
    expect(put?.hasCredentials).toBe(true);
  });

  it.each(["https://storage.example.com/1", `http://${HOST}:8080/1`])("at %s is without them", async (location) => {
    const [put] = await push(location);
    expect(put?.url).toContain(location);
    expect(put?.hasCredentials).toBe(false);
  });
});

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import http2 from "node:http2";
import { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { audienceOf, type Seen, seenHeader, startEcho, startHttp2Service, startService } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { memoryOf } from "../support/memory.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone, type StandaloneOptions } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://body-abc123-uc.a.run.app";
const MIB = 1024 * 1024;
/** Far below the 64 MiB that would have to be held if a body were. */
const MAX_GROWTH_BYTES = 24 * MIB;

const BLOCK = randomBytes(MIB);
const servers: LocalServer[] = [];
let hop: Standalone | undefined;

function start(options: Pick<StandaloneOptions, "services" | "metadata" | "tokensAfter">): Promise<Standalone> {
  const names = Object.keys(options.services);
  return startStandalone({
    envoyPath,
    config: {
      hop: "ingress",
      edge: true,
      routes: names.map((name) => ({
        hosts: [`${name}.example.internal`],
        to: [{ backend: name, weight: 100 }],
        open: "a test",
      })),
      backends: Object.fromEntries(names.map((name) => [name, { token: { audience: AUDIENCE } }])),
      identity: { timeoutMs: 10_000 },
    },
    ...options,
  });
}

describe.skipIf(envoyPath === "")("bodies", { timeout: 60_000 }, () => {
  let services: Record<string, { port: number; protocol?: "http1" | "http2" }>;

  beforeAll(async () => {
    const echo = await startEcho();
    const down = await startService(
      (_, response) => void pipeline(Readable.from(blocks(64)), response).catch(() => undefined),
    );
    const both = await startHttp2Service((stream) => {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    servers.push(echo, down, both);
    services = { echo, down, both: { ...both, protocol: "http2" } };
  });

  afterEach(async () => {
    await hop?.close();
    hop = undefined;
  });

  afterAll(() => Promise.all(servers.map((server) => server.close())));

  it("of 64 MiB go up byte by byte the same, and are not held", async () => {
    hop = await start({ services });
    const growth = await growthDuring(hop, async () => {
      const seen = await post(hop, "echo", blocks(64));
      expect(seen).toMatchObject({ bytes: 64 * MIB, sha256: hashOf(blocks(64)) });
      expect(audienceOf(seenHeader(seen, "authorization")[0])).toBe(AUDIENCE);
    });
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it("of 64 MiB come down byte by byte the same, and are not held", async () => {
    hop = await start({ services });
    const growth = await growthDuring(hop, async () => {
      const response = await open(hop, "down", "GET");
      expect(await digest(response)).toBe(hashOf(blocks(64)));
    });
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it("of 64 MiB go both ways at once over HTTP/2", async () => {
    hop = await start({ services });
    const session = http2.connect(hop.origin);
    const growth = await growthDuring(hop, async () => {
      const stream = session.request({ ":method": "POST", ":path": "/", ":authority": "both.example.internal" });
      const sent = pipeline(Readable.from(blocks(64)), stream, { end: true }).catch(() => undefined);
      expect(await digest(stream)).toBe(hashOf(blocks(64)));
      await sent;
    });
    session.close();
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it("of 64 MiB wait for a reader who does not read, and are not held meanwhile", async () => {
    hop = await start({ services });
    const growth = await growthDuring(hop, async () => {
      const response = await open(hop, "down", "GET");
      response.pause();
      // Nobody reads: what Envoy has got from the service stops growing at its buffers' size.
      const received = async (): Promise<number> => {
        const stats = await hop?.envoy.admin.stats("cluster\\.down;.*upstream_cx_rx_bytes_total");
        return [...(stats?.values() ?? [])][0] ?? 0;
      };
      let before = -1;
      const stopped = await eventually(async () => {
        const now = await received();
        const isSame = now === before && now > 0;
        before = now;
        return isSame ? now : undefined;
      });
      expect(stopped).toBeLessThan(32 * MIB);
      expect(await digest(response)).toBe(hashOf(blocks(64)));
    });
    expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it("of 5 MB wait with their request for the token, and arrive the same", async () => {
    let openGate = (): void => undefined;
    const tokensAfter = new Promise<void>((resolve) => (openGate = resolve));
    hop = await start({ services, tokensAfter });
    const body = [...blocks(5)];
    const pending = post(hop, "echo", body);
    await eventually(async () => {
      const stats = await hop?.envoy.admin.stats("downstream_rq_active$");
      return [...(stats?.values() ?? [])].includes(1) ? true : undefined;
    });
    openGate();
    const seen = await pending;
    expect(seen).toMatchObject({ bytes: 5 * MIB, sha256: hashOf(body) });
    expect(audienceOf(seenHeader(seen, "authorization")[0])).toBe(AUDIENCE);
    const held = (await hop.envoy.admin.get("/stats/prometheus"))
      .split("\n")
      .find((line) => line.includes("hopgate_token_waits{"));
    expect(held).toMatch(/result="released"\} 1$/);
  });

  it("of 5 MB are not needed for a refusal: it comes while they are on their way", async () => {
    hop = await start({ services, metadata: { fault: () => ({ status: 500 }) } });
    const response = await open(hop, "echo", "POST", { "content-length": String(5 * MIB) }, Buffer.alloc(1000));
    expect(response.statusCode).toBe(503);
    expect(await json(response)).toMatchObject({ code: "token_unavailable" });
    response.destroy();
  });
});

function* blocks(count: number): Generator<Buffer> {
  for (let index = 0; index < count; index++) {
    BLOCK.writeUInt32BE(index);
    yield Buffer.from(BLOCK);
  }
}

function hashOf(chunks: Iterable<Buffer>): string {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex");
}

async function digest(stream: Readable): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** By how much the peak of Envoy's memory is above what it had before; 0 where that cannot be seen. */
async function growthDuring({ envoy }: Standalone, work: () => Promise<void>): Promise<number> {
  const before = await memoryOf(envoy.pid);
  await work();
  const after = await memoryOf(envoy.pid);
  return (after?.peakBytes ?? 0) - Math.max(before?.peakBytes ?? 0, 0);
}

async function post(hop: Standalone | undefined, name: string, body: Iterable<Buffer>): Promise<Seen> {
  const outgoing = requestTo(hop, name, "POST");
  const answered = once(outgoing, "response");
  await pipeline(Readable.from(body), outgoing);
  const [response] = (await answered) as [IncomingMessage];
  return (await json(response)) as Seen;
}

/** Sends a request and the beginning of its body, if any; returns the response with its body still to be read. */
async function open(
  hop: Standalone | undefined,
  name: string,
  method: string,
  headers: http.OutgoingHttpHeaders = {},
  begin?: Buffer,
): Promise<IncomingMessage> {
  const outgoing = requestTo(hop, name, method, headers);
  outgoing.on("error", () => undefined);
  if (begin === undefined) outgoing.end();
  else outgoing.write(begin);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return response;
}

function requestTo(
  hop: Standalone | undefined,
  name: string,
  method: string,
  headers: http.OutgoingHttpHeaders = {},
): http.ClientRequest {
  const host = `${name}.example.internal`;
  return http.request({ host: "127.0.0.1", port: hop?.port, method, headers: { host, ...headers }, agent: false });
}

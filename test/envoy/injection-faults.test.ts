import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { audienceOf, startEcho, startService } from "../support/echo.js";
import { idToken } from "../support/filter.js";
import { eventually } from "../support/local-mesh.js";
import { scrape } from "../support/metrics.js";
import { headerOf, type RawResponse, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const GOOGLE = { "metadata-flavor": "Google" };

/** What a metadata server may do, and the reason that the filter then gives in its log and its metric. */
const FAULTS: Record<string, { readonly reason: string; readonly answer: (response: ServerResponse) => void }> = {
  hangs: { reason: "bad_status", answer: () => undefined },
  "status-429": { reason: "bad_status", answer: (response) => response.writeHead(429, GOOGLE).end() },
  "status-500": {
    reason: "bad_status",
    answer: (response) => response.writeHead(500, GOOGLE).end(tokenFor("status-500")),
  },
  "status-503": { reason: "bad_status", answer: (response) => response.writeHead(503, GOOGLE).end() },
  "status-404": { reason: "audience_refused", answer: (response) => response.writeHead(404, GOOGLE).end() },
  "status-302": {
    reason: "bad_status",
    answer: (response) => response.writeHead(302, { ...GOOGLE, location: "http://evil.example/" }).end(),
  },
  html: {
    reason: "bad_token",
    answer: (response) => response.writeHead(200, GOOGLE).end("<html>captive portal</html>"),
  },
  empty: { reason: "bad_token", answer: (response) => response.writeHead(200, GOOGLE).end() },
  "two-dots": {
    reason: "bad_token",
    answer: (response) => response.writeHead(200, GOOGLE).end(tokenFor("two-dots").replace(".", "..")),
  },
  "no-flavor": {
    reason: "not_a_metadata_server",
    answer: (response) => response.writeHead(200).end(tokenFor("no-flavor")),
  },
  expired: { reason: "bad_token", answer: (response) => response.writeHead(200, GOOGLE).end(tokenFor("expired", -60)) },
  "wrong-audience": {
    reason: "bad_token",
    answer: (response) => response.writeHead(200, GOOGLE).end(tokenFor("status-500")),
  },
  "size-17-kb": {
    reason: "bad_token",
    answer: (response) => response.writeHead(200, GOOGLE).end(tokenFor("size-17-kb", 3600, 12_500)),
  },
  "size-34-mb": {
    reason: "reset",
    answer: (response) => response.writeHead(200, GOOGLE).end(Buffer.alloc(34 << 20, "e")),
  },
  "reset-in-the-body": {
    reason: "reset",
    answer: (response) => {
      const token = tokenFor("reset-in-the-body");
      response.writeHead(200, { ...GOOGLE, "content-length": token.length });
      response.write(token.slice(0, 100), () => response.socket?.resetAndDestroy());
    },
  },
  "reset-at-once": { reason: "bad_status", answer: (response) => response.socket?.resetAndDestroy() },
};

const NAMES = Object.keys(FAULTS);
const servers: LocalServer[] = [];
let hop: Standalone | undefined;
/** Hosts of the requests that reached a service. */
const served: string[] = [];
let service: LocalServer;

function audience(name: string): string {
  return `https://${name}.run.app`;
}

function tokenFor(name: string, lifeSec = 3600, padding = 0): string {
  return idToken({ aud: audience(name), exp: Math.floor(Date.now() / 1000) + lifeSec }, padding);
}

function config(names: readonly string[], fields: Partial<PluginConfig> = {}): PluginConfig {
  return {
    hop: "ingress",
    edge: true,
    routes: names.map((name) => ({
      hosts: [`${name}.internal`],
      to: [{ backend: name, weight: 100 }],
      open: "a test",
    })),
    backends: Object.fromEntries(names.map((name) => [name, { token: { audience: audience(name) } }])),
    identity: { timeoutMs: 1500 },
    ...fields,
  };
}

function ask(name: string): Promise<RawResponse> {
  return rawRequest(hop?.port ?? 0, `GET / HTTP/1.1\r\nHost: ${name}.internal\r\nX-Case: ${name}\r\n\r\n`);
}

/** The answer that a caller gets where there is no token: whole, and exactly. */
function expectRefused(response: RawResponse, mostSec: number): void {
  expect(response.status).toBe(503);
  expect(headerOf(response, "x-hopgate-error")).toBe("token_unavailable");
  expect(headerOf(response, "content-type")).toBe("application/problem+json");
  expect(JSON.parse(response.body.toString())).toMatchObject({ status: 503, code: "token_unavailable" });
  const seconds = Number(headerOf(response, "retry-after"));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(mostSec);
}

/** A slow machine may run into the time-out besides, which is a bad status. */
async function expectReason(name: string, reason: string | undefined): Promise<void> {
  const logged = await eventually(async () => {
    const log = await readFile(hop?.envoy.logPath ?? "", "utf8");
    const lines = [...log.matchAll(/no ID token for audience (\S+): (\w+)/g)];
    const reasons = lines.flatMap(([, whose, said]) => (whose === audience(name) ? [said] : []));
    return reasons.includes(reason) ? reasons : undefined;
  });
  expect([reason, "bad_status"]).toEqual(expect.arrayContaining(logged));
}

describe.skipIf(envoyPath === "")("a metadata server that", { timeout: 120_000 }, () => {
  let isMended = false;

  beforeAll(async () => {
    const echo = await startEcho();
    service = await startService((request, response) => {
      served.push(request.headers["x-case"] as string);
      response.end(audienceOf(request.headers.authorization) ?? "no token");
    });
    const metadata = await startService((request, response) => {
      const name =
        new URL(new URL(request.url ?? "", "http://x").searchParams.get("audience") ?? "").hostname.split(".")[0] ?? "";
      if (isMended) response.writeHead(200, GOOGLE).end(tokenFor(name));
      else FAULTS[name]?.answer(response);
    });
    servers.push(echo, service, metadata);
    const services = Object.fromEntries(NAMES.map((name) => [name, service]));
    hop = await startStandalone({ envoyPath, config: config(NAMES), services, metadataCluster: metadata.port });
  });

  afterAll(async () => {
    await Promise.all([hop?.close(), ...servers.map((server) => server.close())]);
    hop = undefined;
  });

  it.each(NAMES)("%s: no request goes out without a token, and each gets its 503", async (name) => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(name)));
    for (const answer of answers) expectRefused(answer, name === "status-404" ? 30 : 8);
    await expectReason(name, FAULTS[name]?.reason);
    expect(served).toEqual([]);
  });

  it("refused an audience is told in 30 s, and not asked again before", async () => {
    const response = await ask("status-404");
    expect(Number(headerOf(response, "retry-after"))).toBeGreaterThan(8);
  });

  it("works again is used again, without anybody's help", async () => {
    isMended = true;
    const mendable = NAMES.filter((name) => name !== "status-404");
    await Promise.all(
      mendable.map((name) =>
        eventually(async () => {
          const { status, body } = await ask(name);
          return status === 200 ? expect(body.toString()).toBe(audience(name)) : undefined;
        }).catch(() => undefined),
      ),
    );
    expect([...new Set(served)].sort()).toEqual([...mendable].sort());
  });
});

describe.skipIf(envoyPath === "")("a metadata cluster that", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    served.length = 0;
    service = await startEcho();
  });

  afterEach(async () => {
    await hop?.close();
    hop = undefined;
  });

  afterAll(() => service.close());

  it.each([
    ["is missing", "missing", "cluster_missing"],
    ["has no endpoint", "empty", "no_endpoint"],
    ["refuses connections", 1, "bad_status"],
  ] as const)("%s: 503, and the reason in log and metric", async (_what, metadataCluster, reason) => {
    hop = await startStandalone({ envoyPath, config: config(["kb"]), services: { kb: service }, metadataCluster });
    for (let i = 0; i < 5; i++) expectRefused(await ask("kb"), 8);
    await expectReason("kb", reason);
    const fetches = (await scrape(hop.envoy.admin)).filter(({ name }) => name === "hopgate_token_fetches");
    expect(fetches.map(({ labels }) => labels)).toEqual([{ hop: "ingress", result: reason }]);
  });
});

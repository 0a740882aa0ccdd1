import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { startIamCredentials, type IamCredentials } from "../../shim/local/iam-credentials.js";
import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { startService } from "../support/echo.js";
import { idToken } from "../support/filter.js";
import { eventually } from "../support/local-mesh.js";
import { type RawResponse, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone, testKeys } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://kb-abc123-uc.a.run.app";
const ACCOUNT = "invoker@test.iam.gserviceaccount.com";
const CALLER = "hopgate@test.iam.gserviceaccount.com";

/** Credentials that nobody may find again: what the services got, and what the metadata server said that was no use. */
const canaries = new Set<string>();
const replies: RawResponse[] = [];
let service: LocalServer;
let iam: IamCredentials;
let hop: Standalone;

const config = (fields: Partial<PluginConfig> = {}): PluginConfig => ({
  hop: "ingress",
  edge: true,
  routes: [
    { hosts: ["kb.internal"], to: [{ backend: "kb", weight: 100 }], open: "a test" },
    { hosts: ["bad.internal"], to: [{ backend: "bad", weight: 100 }], open: "a test" },
  ],
  backends: { kb: { token: { audience: AUDIENCE } }, bad: { token: { audience: "https://bad.example" } } },
  identity: {},
  timing: { expose: "always" },
  ...fields,
});

const impersonating = config({
  identity: { mode: "impersonate", impersonate: { serviceAccount: ACCOUNT, cluster: "iam", authority: "iam.example" } },
});

/** Starts a proxy that logs so much, and lets it do whatever makes it handle tokens: have them, refuse them, miss them. */
async function exercise(levels: { logLevel?: string; componentLogLevel?: string }, started = config()): Promise<void> {
  const refused = idToken({
    aud: "https://other.example",
    exp: Math.floor(Date.now() / 1000) + 3600,
    canary: "refused",
  });
  canaries.add(refused.split(".")[1] ?? "");
  hop = await startStandalone({
    envoyPath,
    config: started,
    services: { kb: service, bad: service },
    clusters: { iam },
    metadata: { fault: ({ audience }) => (audience === "https://bad.example" ? { body: refused } : undefined) },
    ...levels,
  });
  canaries.add(hop.metadata.accessToken);
  await eventually(async () => ((await ask("kb.internal")).status === 200 ? true : undefined));
  await ask("kb.internal", "Authorization: Basic eDp5\r\n");
  await ask("kb.internal", "Upgrade: chargen\r\nConnection: upgrade\r\n");
  await ask("kb.internal", "X-Hopgate-Backend: bad\r\n");
  await ask("nobody.internal");
  if (started.identity?.mode === undefined) expect((await ask("bad.internal")).status).toBe(503);
  await hop.update({ ...started, unmatched: "reject" });
  await eventually(async () => ((await ask("nobody.internal")).body.includes("route_unmatched") ? true : undefined));
  await ask("kb.internal");
  // Of a token its signature alone is secret; but neither is what it says anybody's business.
  expect(canaries.size).toBeGreaterThanOrEqual(4);
}

async function ask(host: string, lines = ""): Promise<RawResponse> {
  const reply = await rawRequest(hop.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
  replies.push(reply);
  return reply;
}

function expectNone(text: string): void {
  expect(text.length).toBeGreaterThan(0);
  for (const canary of canaries) expect(text.includes(canary)).toBe(false);
}

describe.skipIf(envoyPath === "")("a token", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    service = await startService((request, response) => {
      const { authorization, "x-serverless-authorization": beside } = request.headers;
      const token = /^Bearer [\w-]+\.([\w-]{20,})\.([\w-]{20,})$/.exec(String(beside ?? authorization));
      for (const part of token?.slice(1) ?? ["the service got no token"]) canaries.add(part);
      response.end("served");
    });
    iam = await startIamCredentials({
      keys: await testKeys(),
      accounts: new Map([[ACCOUNT, [CALLER]]]),
      callerOf: (token) => (token === hop.metadata.accessToken ? CALLER : undefined),
    });
  });

  afterEach(async () => {
    canaries.clear();
    replies.length = 0;
    await hop.close();
  });

  afterAll(() => Promise.all([service.close(), iam.close()]));

  it.each([
    ["an ID token", config()],
    ["an access token", impersonating],
  ])(
    "(%s) is in no log, no metric, no configuration and no reply, with the plugin's log at level trace",
    async (_what, started) => {
      await exercise({ logLevel: "info", componentLogLevel: "wasm:trace" }, started);
      const { admin, logPath } = hop.envoy;
      for (const path of [
        "/stats",
        "/stats/prometheus",
        "/config_dump?include_eds",
        "/clusters",
        "/listeners",
        "/server_info",
      ])
        expectNone(await admin.get(path));
      expectNone(await readFile(join(hop.dir, "access.log"), "utf8"));
      const log = await readFile(logPath, "utf8");
      if (started.identity?.mode === undefined)
        expect(log).toContain("no ID token for audience https://bad.example: bad_token");
      expectNone(`${log} `);
      for (const { headers, body } of replies) expectNone(`${JSON.stringify(headers)}${body.toString()}`);
    },
  );

  it.each([
    ["an ID token", config()],
    ["an access token", impersonating],
  ])(
    "(%s) is logged at level trace by Envoy itself, which logs all headers, and never by the filter",
    async (_what, started) => {
      await exercise({ logLevel: "trace" }, started);
      const log = await readFile(hop.envoy.logPath, "utf8");
      // One entry may have many lines; it begins with the name of the component.
      const entries = log.split(/^(?=\[\d{4}-)/m);
      const leaking = entries.filter((entry) => [...canaries].some((canary) => entry.includes(canary)));
      const components = new Set(
        leaking.map((entry) => /^\[[^\]]+\]\[\d+\]\[\w+\]\[(\w+)\]/.exec(entry)?.[1] ?? entry),
      );
      // "router decoding headers": so of every request that a router sends, those of the filter's own calls too.
      expect([...components]).toEqual(["router"]);
      expect(entries.some((entry) => entry.includes("][wasm]"))).toBe(true);
    },
  );
});

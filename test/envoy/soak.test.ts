import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { startService } from "../support/echo.js";
import { idToken } from "../support/filter.js";
import { startCheapService } from "../support/load.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Kind, randomFrom, soak } from "../support/soak.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";
const isLong = process.env["HOPGATE_LONG"] === "1";

const SEED = Number(process.env["HOPGATE_SEED"] ?? 1);
const REQUESTS = isLong ? 1_000_000 : 10_000;
const FOR_MS = isLong ? 300_000 : 40_000;

const GOOGLE = { "metadata-flavor": "Google" };
/** Life of a token, the part of it that the filter leaves unused, and how long before its end it is due. */
const LIFE_SEC = 14;
const MARGIN_MS = 5_000;
const REFRESH_BEFORE_SEC = 11;
const TIMEOUT_MS = 1_000;
/** How long after the answer a token may not be published yet, and how exact the expiry is: seconds are cut off, clocks are read twice. */
const SLACK_MS = 3_000;
/** Within this time after the source works again, each audience has its token: a last failure, the longest pause, the fetch. */
const RECOVERY_MS = TIMEOUT_MS + 8_000 + 1_000 + SLACK_MS;

const AUDIENCES = ["kb", "reports", "agents"].map((name) => ({
  name,
  audience: `https://${name}-abc123-uc.a.run.app`,
}));

/** The metadata server, which works and fails by turns, and what the model needs to remember of it. */
class Source {
  /** When each token was handed out, and when the filter has to stop using it (ms of `performance.now`). */
  readonly tokens = new Map<string, { readonly fromMs: number; readonly untilMs: number }[]>();
  isUp = true;
  private changedMs = performance.now();
  private readonly random = randomFrom(SEED);
  private timer: NodeJS.Timeout | undefined;
  private serial = 0;

  /** Lets it fail and work for random times, none so long that a test has nothing of the other. */
  start(): void {
    const next = (): void => {
      this.isUp = !this.isUp;
      this.changedMs = performance.now();
      this.timer = setTimeout(next, 1_000 + this.random() * (this.isUp ? 14_000 : 13_000));
    };
    this.timer = setTimeout(next, 5_000);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  answer(audience: string, response: ServerResponse): void {
    if (!this.isUp) return this.fail(audience, response);
    const atMs = performance.now();
    const exp = Math.floor(Date.now() / 1000) + LIFE_SEC;
    const untilMs = atMs + exp * 1000 - Date.now() - MARGIN_MS;
    this.tokens.set(audience, [...(this.tokens.get(audience) ?? []).slice(-20), { fromMs: atMs, untilMs }]);
    response.writeHead(200, GOOGLE).end(idToken({ aud: audience, exp, jti: this.serial++ }));
  }

  private fail(audience: string, response: ServerResponse): void {
    const ahead = Math.floor(Date.now() / 1000) + 3600;
    const faults = [
      () => response.writeHead(500, GOOGLE).end(),
      () => response.writeHead(429, GOOGLE).end(),
      () => response.writeHead(200, GOOGLE).end("<html>"),
      () => response.writeHead(200, GOOGLE).end(idToken({ aud: `${audience}.evil`, exp: ahead })),
      () => response.writeHead(200, GOOGLE).end(idToken({ aud: audience, exp: 1 })),
      () => response.writeHead(200).end(idToken({ aud: audience, exp: ahead })),
      () => response.socket?.resetAndDestroy(),
      () => undefined, // hangs
    ];
    faults[Math.floor(this.random() * faults.length)]?.();
  }

  /** Whether the filter has a token for all of that time, for none of it, or the model cannot say. */
  had(audience: string, sentMs: number, answeredMs: number): "all" | "none" | "some" {
    const tokens = this.tokens.get(audience) ?? [];
    if (tokens.some(({ fromMs, untilMs }) => fromMs + SLACK_MS <= sentMs && answeredMs + SLACK_MS <= untilMs))
      return "all";
    if (tokens.some(({ fromMs, untilMs }) => fromMs <= answeredMs && sentMs <= untilMs + SLACK_MS)) return "some";
    // It works, so a request that waits gets what has not been handed out yet when it came.
    return "none";
  }

  /** It has worked for so long that whoever wants a token has one. */
  isRecovered(sentMs: number): boolean {
    return this.isUp && this.changedMs + RECOVERY_MS <= sentMs;
  }
}

const SERVED = "200";
const REFUSED = "503 token_unavailable";

function injected(source: Source, name: string, audience: string): Kind {
  return {
    name,
    head: () => `Host: ${name}.internal`,
    expected: (sentMs, answeredMs) => {
      if (source.isRecovered(sentMs)) return [`${SERVED} ${audience}`];
      const had = source.had(audience, sentMs, answeredMs);
      if (had === "all") return [`${SERVED} ${audience}`];
      return had === "none" ? [REFUSED] : [`${SERVED} ${audience}`, REFUSED];
    },
  };
}

function config(version: number): PluginConfig {
  const routes = AUDIENCES.map(({ name }) => ({
    hosts: [`${name}.internal`],
    to: [{ backend: name, weight: 100 }],
    open: "a test",
  }));
  return {
    hop: "ingress",
    edge: true,
    unmatched: "reject",
    routes: [...routes, { hosts: ["llm.internal", `v${version}.internal`], to: [{ backend: "llm", weight: 100 }] }],
    backends: {
      llm: {},
      ...Object.fromEntries(AUDIENCES.map(({ name, audience }) => [name, { token: { audience } }])),
    },
    identity: { timeoutMs: TIMEOUT_MS, refreshBeforeSec: REFRESH_BEFORE_SEC },
  };
}

/** What a service got: whose token, as long as it was still good then. */
function tokenOf(head: string): string {
  const payload = /^authorization: Bearer [^.\r\n]+\.([^.\r\n]+)\./im.exec(head)?.[1];
  if (payload === undefined) return "no token";
  const { aud, exp } = JSON.parse(Buffer.from(payload, "base64url").toString()) as { aud: string; exp: number };
  return exp * 1000 > Date.now() ? aud : `${aud}, expired`;
}

describe.skipIf(envoyPath === "")("a soak", { timeout: FOR_MS * 10 + 600_000 }, () => {
  const source = new Source();
  const servers: LocalServer[] = [];
  let hop: Standalone;

  beforeAll(async () => {
    const service = await startCheapService(tokenOf);
    const metadata = await startService((request, response) => {
      source.answer(new URL(request.url ?? "", "http://x").searchParams.get("audience") ?? "", response);
    });
    servers.push(service, metadata);
    hop = await startStandalone({
      envoyPath,
      concurrency: 2,
      config: config(0),
      services: Object.fromEntries(["llm", ...AUDIENCES.map(({ name }) => name)].map((name) => [name, service])),
      metadataCluster: metadata.port,
    });
  });

  afterAll(async () => {
    source.stop();
    await Promise.all([hop.close(), ...servers.map((server) => server.close())]);
  });

  it(`of ${REQUESTS} requests, while tokens expire, their source fails and configurations change: none is answered wrongly`, async () => {
    const kinds: Kind[] = [
      ...AUDIENCES.map(({ name, audience }) => injected(source, name, audience)),
      { name: "llm", head: () => "Host: llm.internal", expected: () => [`${SERVED} no token`] },
      { name: "nobody", head: () => "Host: nobody.internal", expected: () => ["404 route_unmatched"] },
    ];
    source.start();
    let version = 0;
    const updates = setInterval(() => void hop.update(config(++version)), 7_000);
    const result = await soak({
      port: hop.port,
      kinds,
      requests: REQUESTS,
      forMs: FOR_MS,
      connections: 16,
      describe: (head, body) => {
        const status = head.slice(9, 12);
        return `${status} ${status === "200" ? body : (/x-hopgate-error: (\w+)/i.exec(head)?.[1] ?? "")}`;
      },
    }).finally(() => clearInterval(updates));
    const shares = [...result.counts].sort().map(([what, count]) => `${what}: ${count}`);
    process.stderr.write(
      `soak, seed ${SEED}: ${result.answered} answered, ${result.certain} foretold exactly; ${shares.join("; ")}\n`,
    );
    expect(result.wrong).toEqual([]);
    expect(result.wrongCount).toBe(0);
    expect(result.answered).toBeGreaterThanOrEqual(REQUESTS);
    // The model says something, and the faults had an effect.
    expect(result.certain).toBeGreaterThan(result.answered * 0.5);
    const kb = `kb ${REFUSED}`;
    expect([
      result.counts.get(kb) ?? 0,
      result.counts.get(`kb ${SERVED} ${AUDIENCES[0]?.audience ?? ""}`) ?? 0,
    ]).toEqual([expect.any(Number), expect.any(Number)]);
    expect(result.counts.get(kb)).toBeGreaterThan(0);
  });
});

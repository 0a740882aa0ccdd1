import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { parseServerTiming, type ServerTiming } from "../../shim/trace/server-timing.js";
import { startService } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { startCheapService } from "../support/load.js";
import { rawRequest, type RawResponse, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const KEY = "a-key";
const OURS = /^HOP;dur=\d+\.\d{3}, HOP-upstream;dur=\d+\.\d{3}$/;
const ours = (hop: string): RegExp => new RegExp(OURS.source.replaceAll("HOP", hop));
const FORGED = "x-hopgate-timing: forged;dur=1.000\r\n";
/** How long the slow service takes at least, and the wait for the token about. */
const SLOW_MS = 300;

const servers: LocalServer[] = [];
let openGate = (): void => undefined;
const gate = new Promise<void>((resolve) => (openGate = resolve));
const hops = new Map<string, Standalone>();

/** Every hop has the same routes; they differ in what they tell of time. */
const CONFIGS: Readonly<Record<string, Pick<PluginConfig, "edge" | "timing">>> = {
  never: { edge: true },
  always: { edge: true, timing: { expose: "always" } },
  trace: { edge: true, timing: { expose: "trace", key: KEY } },
  keyless: { edge: true, timing: { expose: "trace" } },
  inner: {},
  "inner-always": { timing: { expose: "always" } },
};

describe.skipIf(envoyPath === "")("the time of a request", () => {
  beforeAll(async () => {
    const says = await startCheapService(
      () => "",
      (head) => Buffer.from(/^x-say: (.*)$/m.exec(head)?.[1] ?? "", "base64url").toString("latin1"),
    );
    const slow = await startService((_, response) => void setTimeout(() => response.end(), SLOW_MS));
    servers.push(says, slow);
    const names = ["says", "through", "slow", "gone", "tokenless", "waits"];
    for (const [hop, config] of Object.entries(CONFIGS)) {
      const standalone = await startStandalone({
        envoyPath,
        concurrency: 1,
        config: {
          hop,
          ...config,
          unmatched: "reject",
          routes: names.map((name) => ({
            hosts: [`${name}.internal`],
            to: [{ backend: name, weight: 100 }],
            open: "a test",
          })),
          backends: {
            ...{ says: {}, through: { through: "behind" }, slow: {}, gone: {} },
            ...{ tokenless: { token: { audience: "none" } }, waits: { token: { audience: "slow" } } },
          },
          identity: { timeoutMs: 10_000 },
        },
        services: { says, through: says, slow, tokenless: says, waits: says },
        metadata: { fault: ({ audience }) => (audience === "none" ? { status: 404 } : undefined) },
        ...(hop === "inner" && { tokensAfter: gate }),
      });
      hops.set(hop, standalone);
    }
  });

  afterAll(() => Promise.all([...hops.values(), ...servers].map((one) => one.close())));

  it("is told to nobody by default, not even as x-hopgate-timing", async () => {
    for (const lines of ["", `x-hopgate-trace: ${KEY}\r\n`, "x-hopgate-trace:\r\n"]) {
      for (const hop of ["never", "keyless"]) expect(timing(await ask(hop, "says", lines))).toEqual([[], []]);
    }
  });

  it("is told always where it is exposed always, and then not in x-hopgate-timing", async () => {
    expect(timing(await ask("always", "says"))).toEqual([[expect.stringMatching(ours("always"))], []]);
    expect(timing(await ask("inner-always", "says"))).toEqual([[expect.stringMatching(ours("inner-always"))], []]);
  });

  it("is told to those with the key where it is traced", async () => {
    const allowed = await ask("trace", "says", `x-hopgate-trace: ${KEY}\r\n`);
    expect(timing(allowed)).toEqual([[expect.stringMatching(ours("trace"))], []]);
    for (const guess of ["", KEY.slice(0, -1), `${KEY}x`, KEY.toUpperCase(), `${KEY},${KEY}`]) {
      expect(timing(await ask("trace", "says", `x-hopgate-trace: ${guess}\r\n`)), guess).toEqual([[], []]);
    }
  });

  it("is told to the hop in front by an inner hop", async () => {
    expect(timing(await ask("inner", "says"))).toEqual([[], [expect.stringMatching(ours("inner"))]]);
  });

  it("stands behind the service's own entries, which stay as they are", async () => {
    const own = ['db;dur=53, cache;desc="hit, or not"', "app;dur=47.2", ""];
    const lines = own.map((value) => `Server-Timing: ${value}\r\n`).join("");
    for (const hop of ["always", "inner-always"]) {
      expect(timing(await say(hop, "says", lines))[0]).toEqual([...own, expect.stringMatching(ours(hop))]);
    }
    // Those who are told nothing of ours are told the service's.
    expect(timing(await say("never", "says", lines))).toEqual([own, []]);
    expect(timing(await say("inner", "says", lines))).toEqual([own, [expect.stringMatching(ours("inner"))]]);
  });

  it("is no service's to forge", async () => {
    for (const forged of [FORGED, FORGED + FORGED, "X-Hopgate-Timing: always;dur=0.001\r\n"]) {
      expect(timing(await say("never", "says", forged))).toEqual([[], []]);
      expect(timing(await say("always", "says", forged))).toEqual([[expect.stringMatching(ours("always"))], []]);
      expect(timing(await say("inner", "says", forged))).toEqual([[], [expect.stringMatching(ours("inner"))]]);
    }
  });

  it("comes from the hop behind where there is one, innermost first, and is dropped whole if no hop wrote it", async () => {
    const behind = "behind;dur=2.000, behind-upstream;dur=1.500";
    const [values] = timing(await say("always", "through", `x-hopgate-timing: ${behind}\r\n`));
    expect(values).toEqual([
      expect.stringMatching(new RegExp(`^${behind}, always;dur=[\\d.]+, always-upstream;dur=[\\d.]+$`)),
    ]);
    for (const malformed of [
      "behind",
      "behind;dur=1",
      "behind;dur=1.0,x;dur=1.0",
      "B;dur=1.0",
      `${behind}, `,
      `${behind}"`,
      "x;dur=-1.0",
    ]) {
      const response = await say("always", "through", `x-hopgate-timing: ${malformed}\r\n`);
      expect(timing(response), malformed).toEqual([[expect.stringMatching(ours("always"))], []]);
    }
  });

  it("is that of the service where the service takes its time", async () => {
    const found = entries(await ask("always", "slow"));
    expect(found["always-upstream"]).toBeGreaterThanOrEqual(SLOW_MS);
    expect(found["always"]).toBeGreaterThanOrEqual(found["always-upstream"] ?? Infinity);
    expect(found["always-wait"]).toBeUndefined();
  });

  it("names the wait for a token apart from the service", async () => {
    const pending = ask("inner", "waits");
    await eventually(async () => {
      const stats = await hops.get("inner")?.envoy.admin.stats("downstream_rq_active$");
      return [...(stats?.values() ?? [])].includes(1) ? true : undefined;
    });
    setTimeout(openGate, SLOW_MS);
    const held = await pending;
    expect(held.status).toBe(200);
    const found = byName(parseServerTiming(valuesOf(held, "x-hopgate-timing")));
    expect(found["inner-wait"]).toBeGreaterThan(SLOW_MS / 2);
    expect(found["inner-upstream"]).toBeLessThan(found["inner-wait"] ?? 0);
    expect(found["inner"]).toBeGreaterThanOrEqual((found["inner-wait"] ?? 0) + (found["inner-upstream"] ?? 0));
  });

  it("is told of every answer that is not a service's", async () => {
    const answers = {
      host_invalid: await ask("always", "a,b"),
      route_unmatched: await ask("always", "nobody"),
      token_unavailable: await ask("always", "tokenless"),
      "Envoy's own": await ask("always", "gone"),
    };
    expect(Object.values(answers).map(({ status }) => status)).toEqual([400, 404, 503, 503]);
    for (const [why, answer] of Object.entries(answers)) {
      const found = entries(answer);
      expect(Object.keys(found), why).toEqual(["always", "always-upstream"]);
      if (why !== "Envoy's own") expect(found["always-upstream"], why).toBe(0);
    }
    for (const host of ["a,b", "nobody", "tokenless", "gone"])
      expect(timing(await ask("never", host))).toEqual([[], []]);
  });

  it("is told of a HEAD", async () => {
    const wire = "HEAD / HTTP/1.1\r\nHost: says.internal\r\n\r\n";
    const response = await rawRequest(hops.get("always")?.port ?? 0, wire, { withoutBody: true });
    expect(timing(response)[0]).toEqual([expect.stringMatching(ours("always"))]);
  });

  describe("whatever a service says in Server-Timing", () => {
    const folder = process.env["HOPGATE_VECTORS"] ?? fileURLToPath(new URL("../../../shared/vectors", import.meta.url));
    const path = join(folder, "server-timing", "server-timing-parsing.json");
    if (!existsSync(path)) {
      const reason = `no ${path}: set HOPGATE_VECTORS to the folder of the vectors`;
      process.stderr.write(`skipped: ${reason}\n`);
      it("leaves ours to be read", (context) => context.skip(reason));
      return;
    }
    const vectors = JSON.parse(readFileSync(path, "utf8")) as { header: string }[];
    it.each(vectors.map(({ header }) => [header]))(
      "%j leaves ours to be read, and is left as it is",
      async (header) => {
        const response = await say("always", "says", `Server-Timing: ${header}\r\n`);
        expect(response.status).toBe(200);
        const [values] = timing(response);
        expect(values.slice(0, -1).map((value) => value.trim())).toEqual([header.trim()]);
        const parsed = parseServerTiming(values);
        expect(parsed.slice(0, -2)).toEqual(parseServerTiming([header]));
        expect(parsed.slice(-2).map(({ name }) => name)).toEqual(["always", "always-upstream"]);
        for (const { duration } of parsed.slice(-2)) expect(duration).toBeGreaterThan(0);
      },
    );
  });
});

function ask(hop: string, host: string, lines = ""): Promise<RawResponse> {
  return rawRequest(
    hops.get(hop)?.port ?? 0,
    `GET / HTTP/1.1\r\nHost: ${host}${host.includes(",") ? "" : ".internal"}\r\n${lines}\r\n`,
  );
}

/** The service answers with these header lines. */
function say(hop: string, host: string, lines: string): Promise<RawResponse> {
  return ask(hop, host, `x-say: ${Buffer.from(lines, "latin1").toString("base64url")}\r\n`);
}

/** The values of Server-Timing and of x-hopgate-timing. */
function timing(response: RawResponse): [string[], string[]] {
  return [valuesOf(response, "server-timing"), valuesOf(response, "x-hopgate-timing")];
}

function entries(response: RawResponse): Record<string, number> {
  return byName(parseServerTiming(valuesOf(response, "server-timing")));
}

function byName(list: readonly ServerTiming[]): Record<string, number> {
  return Object.fromEntries(list.map(({ name, duration }) => [name, duration ?? NaN]));
}

import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import {
  answerAll,
  audienceOf,
  expectNoTrap,
  FROM_METADATA,
  idToken,
  KB,
  METADATA,
  NOW_MS,
  NOW_SEC,
  oneRoute,
  pluginConfig,
  refusal,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";
import { authorizationOf, callTimes, expiryOf, HOUR_MS, identity } from "../../support/token.js";

describe("the fetch", () => {
  test("asks the metadata server for the audience, in full, with a time-out", async () => {
    const proxy = await startFilter();
    proxy.advance(20);
    const [call] = proxy.calls;
    expect(call?.request).toMatchObject({ cluster: METADATA, timeoutMs: 2000 });
    expect(call?.request.headers).toEqual([
      [":method", "GET"],
      [
        ":path",
        "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=https%3A%2F%2Fkb-abc123-uc.a.run.app",
      ],
      [":authority", "metadata.google.internal"],
      ["metadata-flavor", "Google"],
    ]);
  });

  test("is one for the whole process, whoever ticks first", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 4 });
    proxy.advance(500);
    expect(proxy.calls).toHaveLength(1);
    const [token] = answerAll(proxy);
    proxy.advance(1000);
    expect(proxy.calls).toHaveLength(0);
    for (let worker = 0; worker < 4; worker++) expect(authorizationOf(proxy, worker)).toBe(`Bearer ${token}`);
  });

  test("is one for each audience, and a request gets the token of its own backend", async () => {
    const audiences = ["https://a.example", "https://a.example.evil", "https://b.example"];
    const config = pluginConfig({
      routes: audiences.map((_, i) => ({
        hosts: [`h${i}.example`],
        to: [{ backend: `b${i}`, weight: 100 }],
        open: "x",
      })),
      backends: Object.fromEntries(audiences.map((audience, i) => [`b${i}`, { token: { audience } }])),
    });
    const proxy = await startFilter(config);
    proxy.advance(20);
    expect(proxy.calls.map(audienceOf)).toEqual(audiences);
    const tokens = answerAll(proxy);
    tokens.forEach((token, i) => {
      const stream = send(proxy, `h${i}.example`);
      // The main thread fetched: this worker adopts what it published.
      expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
    });
  });

  test("happens for the longest audience that a configuration may have, with every byte escaped", async () => {
    const audience = "https://" + "ü/".repeat(338);
    expect(Buffer.from(audience)).toHaveLength(1022);
    const proxy = await startFilter(oneRoute({ token: { audience } }));
    proxy.advance(20);
    expect(proxy.calls.map(audienceOf)).toEqual([audience]);
  });

  test("does not happen where identity is off: the mesh injects", async () => {
    const proxy = await startFilter(pluginConfig(identity({ mode: "off" })));
    proxy.advance(5000);
    expect(proxy.calls).toHaveLength(0);
    expect(send(proxy, KB).requestHeader("authorization")).toBeUndefined();
  });

  test("where identity is off, the caller's own token does not pass for the one that the mesh adds", async () => {
    const proxy = await startFilter(pluginConfig(identity({ mode: "off" })));
    const stream = send(proxy, KB, [["x-serverless-authorization", "Bearer forged"]]);
    expect(stream.action).toBe("continue");
    expect(stream.requestHeader("x-serverless-authorization")).toBeUndefined();
    expect(refusal(send(proxy, KB, [["upgrade", "h2c"]]))).toBe("upgrade_unsupported");
  });

  test("of more audiences than calls can be under way fails none", async () => {
    const names = Array.from({ length: 600 }, (_, i) => `a${i}`);
    const proxy = await startFilter(
      pluginConfig({
        routes: names.map((name) => ({
          hosts: [`${name}.example`],
          to: [{ backend: name, weight: 100 }],
          open: "a test",
        })),
        backends: Object.fromEntries(names.map((name) => [name, { token: { audience: `https://${name}.example` } }])),
      }),
    );
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(2 * (256 - 32)); // a worker and the main thread, with room for key sets
    const last = send(proxy, "a599.example");
    expect(last.paused).toBe(true);
    answerAll(proxy);
    proxy.advance(20);
    answerAll(proxy);
    proxy.advance(20);
    expect(last.requestHeader("authorization")).toMatch(/^Bearer /);
  });
});

describe("after a failure", () => {
  test.each([
    ["hangs", 2000, undefined],
    ["hangs for long", 60_000, undefined],
    ["fails at once", 2000, "503"],
  ] as const)("of a source that %s for a quarter of an hour, one asks at a time", async (_how, timeoutMs, status) => {
    const proxy = await startFilter(pluginConfig(identity({ timeoutMs })), { workers: 8 });
    let fetches = 0;
    for (let past = 0; past < 900_000; past += 50) {
      proxy.advance(50);
      expect(proxy.calls.length).toBeLessThanOrEqual(1);
      if (status === undefined) continue;
      fetches += proxy.calls.length;
      for (const call of proxy.calls) call.respond([[":status", status]]);
    }
    expect(fetches).toBeLessThan(900 / 4);
    expectNoTrap(proxy);
  });

  test("the first retry comes within 1 s (and its tick), doubling up to 8 s, one in the process", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    const times = callTimes(proxy, 60_000, (p) => p.calls[0]?.respond([[":status", "500"]]));
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(times.length).toBeGreaterThan(6);
    [1000, 2000, 4000, 8000, 8000, 8000].forEach((limit, i) => {
      expect(gaps[i]).toBeGreaterThanOrEqual(limit / 2);
      expect(gaps[i]).toBeLessThanOrEqual(limit + 1100);
    });
    for (const gap of gaps.slice(6)) expect(gap).toBeGreaterThanOrEqual(4000);
  });

  test("requests are refused at once until the retry, and told how long", async () => {
    const proxy = await startFilter();
    callTimes(proxy, 12_000, (p) => p.calls[0]?.respond([[":status", "500"]]));
    for (let i = 0; i < 100; i++) {
      const stream = send(proxy, KB);
      if (stream.paused) {
        stream.abort();
        proxy.advance(20);
        proxy.calls[0]?.respond([[":status", "500"]]);
        continue;
      }
      expect(refusal(stream)).toBe("token_unavailable");
      const seconds = Number(stream.responseHeader("retry-after"));
      expect(seconds).toBeGreaterThanOrEqual(1);
      expect(seconds).toBeLessThanOrEqual(8);
      proxy.advance(50);
    }
  });

  test("a 404 is remembered for 30 s", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    proxy.advance(20);
    proxy.calls[0]?.respond([
      [":status", "404"],
      ["metadata-flavor", "Google"],
    ]);
    const times = callTimes(proxy, 32_000, answerAll);
    expect(times).toHaveLength(1);
    expect(times[0]).toBeGreaterThanOrEqual(30_000);
    expect(authorizationOf(proxy, 1)).toMatch(/^Bearer ey/);
  });

  test("a 404 says 30 s to the client", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.respond([[":status", "404"]]);
    proxy.advance(20);
    expect(stream.responseHeader("retry-after")).toBe("30");
  });
});

describe("the refresh", () => {
  test("begins 240 s before the token expires, and up to 10 s earlier to spread it", async () => {
    const starts = new Set<number>();
    for (let i = 0; i < 5; i++) {
      const proxy = await startFilter();
      proxy.advance(20 + i * 1.37);
      answerAll(proxy);
      const [first] = callTimes(proxy, HOUR_MS, answerAll, 1000);
      const at = first ?? 0;
      expect(at).toBeGreaterThanOrEqual(3_349_000);
      expect(at).toBeLessThanOrEqual(3_361_000);
      starts.add(at);
    }
    expect(starts.size).toBeGreaterThan(1);
  });

  test("is one fetch for the process and every worker takes the new token", async () => {
    const proxy = await warmFilter(pluginConfig(), { workers: 3 });
    const before = authorizationOf(proxy);
    const times = callTimes(proxy, HOUR_MS - 200_000, answerAll, 1000);
    expect(times).toHaveLength(1);
    const after = [0, 1, 2].map((worker) => authorizationOf(proxy, worker));
    expect(new Set(after).size).toBe(1);
    expect(after[0]).not.toBe(before);
  });

  test("asks again after half a minute, not each second, while the server returns the same token", async () => {
    const proxy = await startFilter(pluginConfig(identity({ refreshBeforeSec: 600 })));
    proxy.advance(20);
    const token = idToken();
    proxy.calls[0]?.respond(FROM_METADATA, token);
    const times = callTimes(proxy, HOUR_MS - 310_000, (p) => p.calls[0]?.respond(FROM_METADATA, token), 1000);
    // The last 290 s of these are within the refresh: main thread and worker, each every 30 s.
    expect(times.length).toBeGreaterThanOrEqual(8);
    expect(times.length).toBeLessThanOrEqual(24);
    expect(authorizationOf(proxy)).toBe(`Bearer ${token}`);
  });

  test("that fails leaves the token in use until it expires, then requests are refused", async () => {
    const proxy = await warmFilter();
    const token = authorizationOf(proxy);
    const fail = (p: Emulator): void => p.calls[0]?.fail();
    callTimes(proxy, HOUR_MS - 10_000, fail, 500);
    expect(authorizationOf(proxy)).toBe(token);
    expect(proxy.metrics().counters["hopgate_token_fetches.hop=.=ingress;.;result=.=reset;.;"]).toBeGreaterThan(10);
    callTimes(proxy, 10_000, fail, 500);
    expect(proxy.clock.wallMs).toBeGreaterThan(NOW_MS + HOUR_MS);
    const stream = send(proxy, KB);
    if (stream.paused) proxy.advance(20);
    proxy.calls[0]?.fail();
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(Number(stream.responseHeader("retry-after"))).toBeGreaterThanOrEqual(1);
  });

  test.each([1, 5, 10, 14])("asked for %i s before the expiry still comes while the token is used", async (sec) => {
    const proxy = await warmFilter(pluginConfig(identity({ refreshBeforeSec: sec })));
    const times = callTimes(proxy, HOUR_MS - 1000, (p) => {
      expect(authorizationOf(p)).toMatch(/^Bearer ey/); // asked for, and not yet answered
      answerAll(p);
    });
    expect(times.length).toBeGreaterThanOrEqual(1);
  });

  test("that brings the same token again is not repeated by every worker", async () => {
    const proxy = await warmFilter(pluginConfig(identity({ refreshBeforeSec: 3000 })), { workers: 8 });
    const token = idToken({ exp: NOW_SEC + 3600 });
    const times = callTimes(
      proxy,
      3_500_000,
      (p) => p.calls.forEach((call) => call.respond(FROM_METADATA, token)),
      500,
    );
    expect(times.length).toBeGreaterThan(50);
    // One each 30 s in the last 3,000 s, and now and then one of a worker that has long been told to wait.
    expect(times.length).toBeLessThan(300);
  });

  test("of a short token does not become a storm", async () => {
    const proxy = await startFilter();
    const times = callTimes(proxy, 60_000, (p) => answerAll(p, { exp: Math.floor(p.clock.wallMs / 1000) + 20 }));
    expect(times.length).toBeLessThanOrEqual(16);
    expect(authorizationOf(proxy)).toMatch(/^Bearer ey/);
  });
});

describe("a step of the wall clock", () => {
  test("ahead: the token is refreshed as long before its expiry as ever", async () => {
    const proxy = await warmFilter();
    const expires = expiryOf(authorizationOf(proxy));
    proxy.stepWall(600_000);
    callTimes(proxy, HOUR_MS - 600_000 - 260_000, answerAll, 1000);
    const leftSec: number[] = [];
    callTimes(proxy, 25_000, (p) => {
      leftSec.push(expires - p.clock.wallMs / 1000);
      answerAll(p);
    });
    expect(leftSec).toHaveLength(1);
    expect(leftSec[0]).toBeGreaterThan(238);
  });

  test("ahead: the token is never used past its expiry", async () => {
    const proxy = await warmFilter();
    proxy.stepWall(600_000);
    for (let second = 0; second < 3600; second += 10) {
      proxy.advance(10_000);
      proxy.calls[0]?.fail();
      const authorization = authorizationOf(proxy);
      if (authorization?.startsWith("Bearer "))
        expect(expiryOf(authorization)).toBeGreaterThan(proxy.clock.wallMs / 1000);
    }
    expect(authorizationOf(proxy)).not.toMatch(/^Bearer /);
  });

  test("back: the refresh comes when it would have come", async () => {
    const proxy = await warmFilter();
    proxy.stepWall(-600_000);
    const [first] = callTimes(proxy, HOUR_MS, answerAll, 1000);
    expect(first).toBeGreaterThanOrEqual(3_348_000);
    expect(first).toBeLessThanOrEqual(3_361_000);
  });

  test("back: the token is not used past its expiry, though the workers still share it", async () => {
    const proxy = await warmFilter(pluginConfig(), { workers: 2 });
    const token = authorizationOf(proxy);
    proxy.stepWall(-600_000);
    callTimes(proxy, HOUR_MS - 60_000, (p) => p.calls.forEach((call) => call.fail()), 1000);
    expect(authorizationOf(proxy)).toBe(token);
    callTimes(proxy, 60_000, (p) => p.calls.forEach((call) => call.fail()), 1000);
    for (const worker of [0, 1]) expect(authorizationOf(proxy, worker)).not.toMatch(/^Bearer /);
  });

  test("ahead and back again: the token that the source still hands out is used", async () => {
    const proxy = await warmFilter();
    const token = authorizationOf(proxy)?.slice("Bearer ".length) ?? "";
    const again = (p: Emulator): void => p.calls.forEach((call) => call.respond(FROM_METADATA, token));
    proxy.stepWall(HOUR_MS);
    callTimes(proxy, 10_000, again, 1000);
    expect(authorizationOf(proxy)).not.toMatch(/^Bearer /);
    proxy.stepWall(-HOUR_MS);
    callTimes(proxy, 10_000, again, 1000);
    expect(authorizationOf(proxy)).toBe(`Bearer ${token}`);
  });

  test("far ahead: the token is dropped within a tick", async () => {
    const proxy = await warmFilter();
    const token = authorizationOf(proxy);
    proxy.stepWall(HOUR_MS);
    proxy.advance(1000);
    expect(authorizationOf(proxy)).not.toBe(token);
  });
});

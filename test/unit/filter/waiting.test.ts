import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import {
  answerAll,
  answered,
  audienceOf,
  expectNoTrap,
  FROM_METADATA,
  idToken,
  KB,
  KB_AUDIENCE,
  METADATA,
  oneRoute,
  pluginConfig,
  reconfigure,
  refusal,
  send,
  startFilter,
} from "../../support/filter.js";
import { authorizationOf, identity, KEY, record } from "../../support/token.js";

describe("a cold request", () => {
  test("waits, and all that wait on every worker are released within 20 ms of the publication", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 3 });
    const streams = [0, 0, 1, 2, 2].map((worker) => send(proxy, KB, [], worker));
    expect(streams.map((stream) => stream.action)).toEqual(streams.map(() => "pause"));
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(1);
    proxy.advance(300);
    expect(streams.every((stream) => stream.paused)).toBe(true);
    const [token] = answerAll(proxy);
    proxy.advance(20);
    expect(streams.map((stream) => stream.requestHeader("authorization"))).toEqual(
      streams.map(() => `Bearer ${token}`),
    );
    expect(proxy.calls).toHaveLength(0);
    expect(proxy.metrics().counters["hopgate_token_waits.hop=.=ingress;.;result=.=released;.;"]).toBe(5);
  });

  test("holds its body back and loses none of it", async () => {
    const proxy = await startFilter();
    const headers: Headers = [
      [":method", "POST"],
      [":path", "/"],
      [":authority", KB],
      [":scheme", "http"],
    ];
    const stream = proxy.stream({ headers, endOfStream: false });
    stream.sendBody("one ");
    stream.sendBody("two", true);
    expect(stream.requestHeaders).toBeUndefined();
    proxy.advance(20);
    answerAll(proxy);
    proxy.advance(20);
    expect(stream.requestBody.toString()).toBe("one two");
  });

  test("adopts at once what another worker has published", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    proxy.advance(20);
    const [token] = answerAll(proxy);
    expect(authorizationOf(proxy, 1)).toBe(`Bearer ${token}`);
  });

  test.each([
    ["an error", (proxy: Emulator) => proxy.calls[0]?.respond([[":status", "500"]])],
    ["a reset", (proxy: Emulator) => proxy.calls[0]?.fail()],
    ["a refused connection", (proxy: Emulator) => proxy.calls[0]?.refuse()],
    ["a time-out", (proxy: Emulator) => proxy.advance(2000)],
  ])("is refused on every worker after %s", async (_name, answer) => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    const streams = [send(proxy, KB, [], 0), send(proxy, KB, [], 1)];
    proxy.advance(20);
    answer(proxy);
    proxy.advance(20);
    for (const stream of streams) {
      expect(refusal(stream)).toBe("token_unavailable");
      expect(stream.response?.status).toBe(503);
      expect(stream.responseHeader("retry-after")).toBe("1");
      expect(stream.ended).toBe(true);
    }
    expect(proxy.metrics().counters["hopgate_token_waits.hop=.=ingress;.;result=.=refused;.;"]).toBe(2);
    expectNoTrap(proxy);
  });

  test.each(["missing", "no-endpoints"] as const)(
    "is refused when the metadata cluster has or is: %s",
    async (state) => {
      const proxy = await startFilter(pluginConfig(), { clusters: state === "missing" ? {} : { [METADATA]: state } });
      const stream = send(proxy, KB);
      proxy.advance(20);
      expect(refusal(stream)).toBe("token_unavailable");
      const result = state === "missing" ? "cluster_missing" : "no_endpoint";
      expect(proxy.metrics().counters[`hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`]).toBeGreaterThan(
        0,
      );
      // The cluster appears: the filter recovers by itself.
      proxy.clusters.set(METADATA, "ok");
      proxy.advance(2000);
      answerAll(proxy);
      expect(authorizationOf(proxy)).toMatch(/^Bearer ey/);
    },
  );

  test("is refused at once when as many wait as may", async () => {
    const proxy = await startFilter(pluginConfig(identity({ maxWaiters: 3 })));
    const held = [1, 2, 3].map(() => send(proxy, KB));
    const fourth = send(proxy, KB);
    expect(held.every((stream) => stream.paused)).toBe(true);
    expect(refusal(fourth)).toBe("token_unavailable");
  });

  test("frees its place when its client goes away", async () => {
    const proxy = await startFilter(pluginConfig(identity({ maxWaiters: 3 })));
    for (let i = 0; i < 100; i++) {
      const stream = send(proxy, KB);
      expect(stream.paused).toBe(true);
      stream.abort();
    }
    const [first, middle, last] = [send(proxy, KB), send(proxy, KB), send(proxy, KB)];
    middle.abort();
    proxy.advance(20);
    answerAll(proxy);
    proxy.advance(20);
    expect([first, last].map((stream) => stream.requestHeader("authorization")?.slice(0, 9))).toEqual([
      "Bearer ey",
      "Bearer ey",
    ]);
    expect(middle.requestHeaders).toBeUndefined();
    expectNoTrap(proxy);
  });

  test("makes its worker tick every 10 ms only while somebody waits", async () => {
    const proxy = await startFilter(pluginConfig(identity({ timeoutMs: 60_000 })));
    proxy.advance(1020);
    // Without a token, each tick looks once for what the other workers say.
    const ticksPerSecond = (): number => {
      const before = proxy.vm(0).hostCalls["env.proxy_get_shared_data"] ?? 0;
      proxy.advance(1000);
      return (proxy.vm(0).hostCalls["env.proxy_get_shared_data"] ?? 0) - before;
    };
    expect(ticksPerSecond()).toBe(1);
    const stream = send(proxy, KB);
    expect(ticksPerSecond()).toBeGreaterThanOrEqual(99);
    stream.abort();
    proxy.advance(20);
    expect(ticksPerSecond()).toBe(1);
  });

  test("outlives the worker that fetches: the lease ends and another one takes over", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    // The lease of a worker that died: nobody will ever answer.
    proxy.sharedData.set(KEY, record({ leaseUntilMs: proxy.clock.monotonicMs + 3000 }));
    const stream = send(proxy, KB, [], 1);
    proxy.advance(2980);
    expect(proxy.calls).toHaveLength(0);
    proxy.advance(60);
    expect(proxy.calls).toHaveLength(1);
    answerAll(proxy);
    proxy.advance(20);
    expect(stream.requestHeader("authorization")).toMatch(/^Bearer ey/);
  });

  test("never waits longer than the time-out of the call and two seconds", async () => {
    const proxy = await startFilter(pluginConfig(identity({ timeoutMs: 500 })));
    const stream = send(proxy, KB);
    // Somebody renews the lease for ever and never brings a token.
    for (let i = 0; i < 300 && stream.paused; i++) {
      proxy.sharedData.set(KEY, record({ leaseUntilMs: proxy.clock.monotonicMs + 1400 }));
      proxy.advance(10);
    }
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.clock.monotonicMs - 1e6).toBeLessThanOrEqual(2520);
  });

  test("is answered by its own configuration when a new one arrives meanwhile", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    const other = oneRoute({ token: { audience: "https://other.example" } }, { hop: "second" });
    expect(reconfigure(proxy, other)).toEqual({ accepted: true });
    const later = send(proxy, KB);
    proxy.advance(1100);
    expect(proxy.calls.map(audienceOf).sort()).toEqual([KB_AUDIENCE, "https://other.example"]);
    const tokens = new Map(proxy.calls.map((call) => [audienceOf(call), idToken({ aud: audienceOf(call) })]));
    for (const call of proxy.calls) call.respond(FROM_METADATA, tokens.get(audienceOf(call)) ?? "");
    proxy.advance(20);
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${tokens.get(KB_AUDIENCE)}`);
    expect(later.requestHeader("authorization")).toBe(`Bearer ${tokens.get("https://other.example")}`);
    answered(stream);
    answered(later);
    proxy.advance(5000);
    expectNoTrap(proxy);
  });
});

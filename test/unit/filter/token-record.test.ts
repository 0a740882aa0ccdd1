import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import {
  answerAll,
  expectNoTrap,
  idToken,
  KB,
  NOW_SEC,
  pluginConfig,
  reconfigure,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";
import { authorizationOf, callTimes, expiryOf, HOUR_MS, KEY, record } from "../../support/token.js";

describe("shared data that others wrote", () => {
  const ahead = 1e15;
  const rows: [string, (nowMs: number) => Buffer][] = [
    ["nothing", () => Buffer.alloc(0)],
    ["three bytes", () => Buffer.from("HGT")],
    ["garbage", () => Buffer.from("not a record at all, but long enough to be taken for one")],
    ["our magic alone", () => Buffer.from("HGT1")],
    ["no token", () => record({})],
    ["a megabyte", () => Buffer.alloc(1 << 20, "x")],
    ["a lease in the far future", () => record({ leaseUntilMs: ahead })],
    ["a retry in the far future", () => record({ retryAtMs: ahead })],
    ["times below 0", () => record({ leaseUntilMs: -ahead, retryAtMs: -ahead, failures: -1 })],
    ["a thousand million failures", () => record({ failures: 1_000_000_000 })],
    ["a token for another audience", () => record({ token: idToken({ aud: "https://other.example" }) })],
    ["an expired token", () => record({ token: idToken({ exp: NOW_SEC - 60 }) })],
    ["a token of 16 KiB and a byte", () => record({ token: "e".repeat(16_385) })],
    ["header injection", () => record({ token: `${idToken()}\r\nx-evil: 1` })],
  ];

  test.each(rows)("%s is as good as nothing", async (_name, value) => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    proxy.sharedData.set(KEY, value(proxy.clock.monotonicMs));
    const stream = send(proxy, KB, [], 1);
    expect(stream.paused).toBe(true);
    proxy.advance(20);
    expect(proxy.calls.length).toBeGreaterThanOrEqual(1);
    const tokens = answerAll(proxy).map((token) => `Bearer ${token}`);
    proxy.advance(20);
    expect(tokens).toContain(stream.requestHeader("authorization"));
    expectNoTrap(proxy);
  });

  test.each(rows)("%s does not disturb a proxy that has its token", async (_name, value) => {
    const proxy = await warmFilter(pluginConfig(), { workers: 2 });
    const token = authorizationOf(proxy);
    proxy.sharedData.set(KEY, value(proxy.clock.monotonicMs));
    proxy.advance(5000);
    expect(authorizationOf(proxy, 1)).toBe(token);
    callTimes(proxy, HOUR_MS, answerAll, 1000);
    expect(authorizationOf(proxy, 1)).toMatch(/^Bearer ey/);
    expect(expiryOf(authorizationOf(proxy, 1))).toBeGreaterThan(proxy.clock.wallMs / 1000);
    expectNoTrap(proxy);
  });

  test("a worker that loses the race for the lease does not fetch, and looks again", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 8 });
    // Whoever reads, another worker takes the lease before the write.
    const read = proxy.sharedData.get.bind(proxy.sharedData);
    proxy.sharedData.get = (key) => {
      const value = read(key);
      proxy.sharedData.set(key, record({ leaseUntilMs: proxy.clock.monotonicMs + 3000 }));
      return value;
    };
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(0);
    proxy.sharedData.get = read;
    proxy.advance(4000);
    expect(proxy.calls).toHaveLength(1);
    expect(proxy.sharedData.keys()).toEqual([KEY]);
  });

  test("a lease that another worker takes while this one is about to look is respected", async () => {
    const proxy = await startFilter();
    const get = proxy.sharedData.get.bind(proxy.sharedData);
    // Its tick began 50 ms ago: on a busy machine a worker can stand still between two lines.
    proxy.sharedData.get = (key) => {
      proxy.advance(50);
      proxy.sharedData.set(key, record({ leaseUntilMs: proxy.clock.monotonicMs + 3000 }));
      return get(key);
    };
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(0);
    expectNoTrap(proxy);
  });

  test("a worker that goes away in the middle of its fetch gives the lease back", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 1 });
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(1);
    reconfigure(proxy, pluginConfig({ hop: "renamed" }));
    expect(proxy.calls).toHaveLength(0);
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(1);
  });
});

describe("a record that another plugin wrote", () => {
  test("with a token that lasts longer than any of Google's is not believed", async () => {
    const proxy = await startFilter();
    proxy.sharedData.set(KEY, record({ token: idToken({ exp: NOW_SEC + 3 * 3600, iss: "evil" }) }));
    proxy.advance(1000);
    expect(proxy.calls).toHaveLength(1);
  });

  test("that is too large to be read does not keep the retries from slowing down", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 4 });
    proxy.sharedData.set(KEY, Buffer.alloc(20_000));
    const calls = callTimes(proxy, 60_000, (failing) => {
      for (const call of failing.calls) call.respond([[":status", "500"]], "");
    });
    // Five VMs go on alone, each at 1, 2, 4 and then 8 seconds at the most.
    expect(calls.length).toBeLessThan(5 * 20);
  });

  test("again and again does not keep this one from fetching", async () => {
    const proxy = await startFilter();
    const read = proxy.sharedData.get.bind(proxy.sharedData);
    proxy.sharedData.get = (key: string) => {
      const found = read(key);
      proxy.sharedData.set(KEY, Buffer.from("x"));
      return found;
    };
    const calls = callTimes(proxy, 5000, (answered) => answered.calls.forEach((call) => call.fail()));
    expect(calls.length).toBeGreaterThan(0);
  });
});

describe("a record that another plugin keeps writing, in our form", () => {
  const rows: [string, (nowMs: number) => Buffer][] = [
    ["a retry is always ahead", (nowMs) => record({ retryAtMs: nowMs + 29_000 })],
    ["somebody always fetches", (nowMs) => record({ leaseUntilMs: nowMs + 2900 })],
  ];

  test.each(rows)("that %s: this one asks all the same, though seldom", async (_name, value) => {
    const proxy = await startFilter(pluginConfig(), { workers: 4 });
    let calls = 0;
    for (let past = 0; past < 300_000; past += 100) {
      proxy.sharedData.set(KEY, value(proxy.clock.monotonicMs));
      proxy.advance(100);
      calls += proxy.calls.length;
      for (const call of proxy.calls) call.fail();
    }
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(5 * 10);
    expectNoTrap(proxy);
  });
});

describe("workers that meet at the record", () => {
  /** Right after the next read of the record, somebody else writes it. */
  function afterNextRead(proxy: Emulator, write: () => void): void {
    const get = proxy.sharedData.get.bind(proxy.sharedData);
    proxy.sharedData.get = (key) => {
      const value = get(key);
      proxy.sharedData.get = get;
      write();
      return value;
    };
  }

  const leaseOf = (proxy: Emulator): number => Number(proxy.sharedData.get(KEY)?.value.readBigInt64LE(4));
  const tokenOf = (proxy: Emulator): string | undefined => proxy.sharedData.get(KEY)?.value.subarray(24).toString();

  test("one finishes its whole fetch between the other's look and lease: there is no second fetch", async () => {
    const proxy = await startFilter();
    const token = idToken();
    const stream = send(proxy, KB);
    afterNextRead(proxy, () => proxy.sharedData.set(KEY, record({ token })));
    proxy.advance(60);
    expect(proxy.calls).toHaveLength(0);
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
  });

  test("losing that race now and then does not add up to going on alone", async () => {
    const proxy = await startFilter();
    const get = proxy.sharedData.get.bind(proxy.sharedData);
    let serial = 0;
    let madeMs = 0;
    // Each time somebody looks, another worker has been faster. A token with 40 s left is due again after half of what can be used of that.
    proxy.sharedData.get = (key) => {
      const value = get(key);
      if (proxy.clock.wallMs - madeMs < 15_000) return value;
      madeMs = proxy.clock.wallMs;
      const exp = Math.floor(madeMs / 1000) + 40;
      proxy.sharedData.set(key, record({ token: idToken({ exp, jti: serial++ }) }));
      return value;
    };
    proxy.advance(120_000);
    expect(serial).toBeGreaterThan(6);
    expect(Object.keys(proxy.metrics().counters).filter((name) => name.includes("token_fetches"))).toEqual([]);
  });

  test.each([
    ["fails", (proxy: Emulator) => proxy.calls[0]?.fail()],
    ["succeeds", (proxy: Emulator) => void answerAll(proxy)],
    ["is cancelled with its root", (proxy: Emulator) => void reconfigure(proxy, pluginConfig({ hop: "renamed" }))],
  ])("a fetch that outlived its lease and %s leaves the next one's lease alone", async (_how, end) => {
    const proxy = await startFilter();
    proxy.advance(20);
    const next = Math.round(proxy.clock.monotonicMs) + 2999;
    proxy.sharedData.set(KEY, record({ leaseUntilMs: next }));
    end(proxy);
    expect(leaseOf(proxy)).toBe(next);
  });

  test("a fetch that fails after another has succeeded refuses nobody", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    // The worker that holds the request fetches, since the main thread looks only once a second.
    proxy.sharedData.set(KEY, record({ leaseUntilMs: Math.round(proxy.clock.monotonicMs) + 2500 }));
    proxy.advance(40);
    proxy.sharedData.set(KEY, record({}));
    proxy.advance(20);
    expect(proxy.calls.map(({ vm }) => vm)).toEqual(["worker 0"]);
    const token = idToken();
    proxy.sharedData.set(KEY, record({ token }));
    proxy.calls[0]?.fail();
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
    expect(tokenOf(proxy)).toBe(token);
  });

  test("a token is published although somebody writes at the same time", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    const stream = send(proxy, KB, [], 1);
    proxy.advance(20);
    const lease = record({ leaseUntilMs: leaseOf(proxy) });
    afterNextRead(proxy, () => proxy.sharedData.set(KEY, lease));
    const [token] = answerAll(proxy);
    expect(tokenOf(proxy)).toBe(token);
    proxy.advance(20);
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
    expect(proxy.calls).toHaveLength(0);
  });

  test("of an old and a new configuration with the same audience: one fetch for both", async () => {
    const proxy = await startFilter();
    const held = send(proxy, KB);
    proxy.advance(20);
    reconfigure(proxy, pluginConfig({ hop: "second" }));
    const later = send(proxy, KB);
    proxy.advance(500);
    expect(proxy.calls.filter((call) => call.vm === "worker 0" || call.vm === "main")).toHaveLength(1);
    const tokens = answerAll(proxy);
    proxy.advance(20);
    expect([held, later].map((stream) => stream.requestHeader("authorization"))).toEqual(
      [0, 0].map(() => `Bearer ${tokens[0]}`),
    );
  });
});

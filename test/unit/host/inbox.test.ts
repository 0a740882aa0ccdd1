import { describe, expect, test } from "vitest";
import { Probe, type HostFunction } from "../../support/probe.js";
import { GET, logged, scripted } from "../../support/script.js";

/** A host that answers each property with these bytes. */
function answering(bytes: () => Uint8Array): Record<string, HostFunction> {
  return { proxy_get_property: (probe, _path, _size, at = 0, sizeAt = 0) => probe.give(bytes(), at, sizeAt) };
}

describe("an inbox", () => {
  test("grows to the largest answer, once, and then serves all smaller ones", () => {
    let size = 0;
    const probe = new Probe(answering(() => Buffer.alloc(size, 0x61)));
    probe.call("inboxNew", 16, 4096);
    const places = [10, 16, 1000, 17, 1024, 4].map((next) => {
      size = next;
      expect(probe.call("ask")).toBe(0);
      expect(probe.bytes(probe.call("inboxAt"), probe.call("inboxLength"))).toEqual(Buffer.alloc(next, 0x61));
      return probe.call("inboxAt");
    });
    expect(places[0]).toBe(places[1]);
    expect(places[2]).not.toBe(places[1]);
    expect(new Set(places.slice(2)).size).toBe(1);
  });

  test("refuses an answer over its limit, and takes the next one", () => {
    let size = 65;
    const probe = new Probe(answering(() => Buffer.alloc(size)));
    probe.call("inboxNew", 16, 64);
    expect([probe.call("ask"), probe.call("inboxLength")]).toEqual([6, 0]);
    size = 64;
    expect([probe.call("ask"), probe.call("inboxLength")]).toEqual([0, 64]);
    size = 2 ** 31 - 1;
    const huge = new Probe({
      proxy_get_property: (p) => (p.call("allocate", 2 ** 31 - 1) === 0 && p.call("allocate", -1) === 0 ? 6 : 0),
    });
    huge.call("inboxNew", 16, 1 << 20);
    expect(huge.call("ask")).toBe(6);
  });

  test("has nothing of the answer before when the host fails", () => {
    let status = 0;
    const probe = new Probe({
      proxy_get_property: (p, _path, _size, at = 0, sizeAt = 0) =>
        status === 0 ? p.give(Buffer.from("secret"), at, sizeAt) : status,
    });
    probe.call("inboxNew", 16, 64);
    for (status of [0, 1, 2, 10]) {
      expect([probe.call("ask"), probe.call("inboxLength")]).toEqual([status, status === 0 ? 6 : 0]);
    }
  });

  test("is empty where the host says Ok and gives nothing: absent and empty differ in the status alone", () => {
    const probe = new Probe({ proxy_get_property: () => 0 });
    probe.call("inboxNew", 16, 64);
    expect([probe.call("ask"), probe.call("inboxLength")]).toEqual([0, 0]);
  });

  test("never believes a length beyond itself", () => {
    const probe = new Probe({
      proxy_get_property: (p, _path, _size, at = 0, sizeAt = 0) => {
        const status = p.give(Buffer.from("abc"), at, sizeAt);
        p.memory.writeUInt32LE(0x7fff_ffff, sizeAt);
        return status;
      },
    });
    probe.call("inboxNew", 16, 64);
    expect([probe.call("ask"), probe.call("inboxLength")]).toEqual([0, 16]);
    const negative = new Probe({
      proxy_get_property: (p, _path, _size, at = 0, sizeAt = 0) => {
        const status = p.give(Buffer.from("abc"), at, sizeAt);
        p.memory.writeInt32LE(-1, sizeAt);
        return status;
      },
    });
    negative.call("inboxNew", 16, 64);
    negative.call("ask");
    expect(negative.call("inboxLength")).toBeLessThanOrEqual(16);
    expect(negative.call("inboxLength")).toBeGreaterThanOrEqual(0);
  });
});

describe("an allocation that nobody expects", () => {
  test("is refused: before the first call, between calls and after", () => {
    const probe = new Probe(answering(() => Buffer.from("x")));
    expect(probe.call("allocate", 8)).toBe(0);
    probe.call("inboxNew", 16, 64);
    probe.call("ask");
    expect(probe.call("allocate", 8)).toBe(0);
    expect(probe.call("allocate", 0)).toBe(0);
  });

  test("is refused after a call that failed, too", () => {
    const probe = new Probe({ proxy_get_property: () => 10 });
    probe.call("inboxNew", 16, 64);
    probe.call("ask");
    expect(probe.call("allocate", 8)).toBe(0);
  });
});

describe("memory", () => {
  test("is flat over 100,000 calls of every kind", { timeout: 60_000 }, async () => {
    const proxy = await scripted("request soak 10000");
    const pages: number[] = [];
    for (let i = 0; i < 10; i++) {
      proxy.stream({ headers: GET }).respond([[":status", "200"]]);
      expect(logged(proxy)).toEqual(["soak -> 0 failures"]);
      pages.push(proxy.vm(0).memoryPages());
    }
    expect(proxy.vm(0).hostCalls["env.proxy_get_header_map_pairs"]).toBe(100_000);
    expect(new Set(pages).size, pages.join()).toBe(1);
  });

  test("is flat over 10,000 http calls a VM", { timeout: 60_000 }, async () => {
    const proxy = await scripted("configure tick 10\ntick call there 1000\ncall body 100", { logLevel: "critical" });
    const pages: number[] = [];
    for (let i = 1; i <= 10_000; i++) {
      proxy.advance(10);
      for (const call of proxy.calls) call.respond([[":status", "200"]], "answer");
      if (i % 1_000 === 0) pages.push(proxy.vm(0).memoryPages());
    }
    expect(proxy.vm(0).hostCalls["env.proxy_http_call"]).toBe(10_000);
    expect(new Set(pages).size, pages.join()).toBe(1);
    expect(proxy.traps).toEqual([]);
  });
});

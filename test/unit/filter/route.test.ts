import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { PluginConfig, PluginRoute } from "../../../shim/render/plugin-config.js";
import {
  answered,
  expectNoTrap,
  KB,
  LLM,
  pluginConfig,
  reconfigure,
  refusal,
  requestTo,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";

/** A configuration that leads each of these hosts to the backend of that name. */
function routesTo(hosts: Record<string, string>, fields: Partial<PluginConfig> = {}): PluginConfig {
  const routes = Object.entries(hosts).map(([host, backend]) => ({ hosts: [host], to: [{ backend, weight: 100 }] }));
  const backends = Object.fromEntries(Object.values(hosts).map((backend) => [backend, {}]));
  return pluginConfig({ routes, backends, ...fields });
}

/** Where the filter sends a request: a backend, "" for none, or the code of its refusal. */
function backendOf(proxy: Emulator, authority: string, more: Headers = []): string {
  const stream = send(proxy, authority, more);
  const backend = refusal(stream) ?? stream.requestHeader("x-hopgate-backend") ?? "";
  if (!stream.ended) answered(stream);
  return backend;
}

describe("by host", () => {
  const hosts = {
    "a.example": "exact",
    "*.a.example": "wild",
    "*.b.a.example": "longer",
    "c.b.a.example": "inner",
    "*.example": "widest",
    "10.0.0.1": "address",
    localhost: "local",
  };

  test.each([
    ["a.example", "exact"],
    ["A.Example", "exact"],
    ["a.example:80", "exact"],
    ["a.example:65535", "exact"],
    ["a.example.", "exact"],
    ["a.example.:8080", "exact"],
    ["x.a.example", "wild"],
    ["x.y.a.example", "wild"],
    ["X.A.EXAMPLE:443", "wild"],
    ["b.a.example", "wild"],
    ["x.b.a.example", "longer"],
    ["x.y.b.a.example", "longer"],
    ["c.b.a.example", "inner"],
    ["d.c.b.a.example", "longer"],
    ["xa.example", "widest"],
    ["example", ""],
    ["a.examplex", ""],
    ["xexample", ""],
    ["10.0.0.1:15021", "address"],
    ["localhost", "local"],
    ["[::1]:80", ""],
    ["[fe80::1]", ""],
    ["[::ffff:10.0.0.1]:80", ""],
    ["a_b.example", "widest"],
    ["other.internal", ""],
  ])("%s leads to %s", async (authority, expected) => {
    const proxy = await startFilter(routesTo(hosts));
    expect(backendOf(proxy, authority)).toBe(expected);
  });

  test.each([
    "",
    ".",
    "..",
    "a..example",
    ".a.example",
    "a.example..",
    "a.example,b.example",
    "a.example, a.example",
    "user@a.example",
    "user:pw@a.example",
    "a%2eexample",
    "a.example:",
    "a.example:0",
    "a.example:65536",
    "a.example:123456",
    "a.example:8o",
    "a.example:80:80",
    "a.example:-1",
    "a.example: 80",
    " a.example",
    "a.example ",
    "a example",
    "a.example/",
    "a.example?x",
    "a.example#x",
    "http://a.example",
    "[::1",
    "[]",
    "[:]",
    "[::1%25eth0]",
    "[::1]x",
    "[::1]:",
    "[::1]:0",
    "[a.example]",
    "[fa.ce]",
    "[fa.ce]:80",
    "[1::2.fa.ce]",
    "[1::fa.ce]",
    "[::1.2:3]",
    "a".repeat(254),
    "*.a.example",
    "a.example\\",
    "a\0.example",
    "a\t.example",
    "\xe9.a.example",
    "b\xe3\x80\x82a.example",
    'a"b.example',
    `[${"1:".repeat(23)}1]`,
  ])("%j is refused", async (authority) => {
    const proxy = await startFilter(routesTo({ ...hosts, "fa.ce": "hexadecimal" }));
    const stream = send(proxy, authority);
    expect(refusal(stream)).toBe("host_invalid");
    expect(stream.response?.status).toBe(400);
    expectNoTrap(proxy);
  });

  test("two Host headers, which Envoy joins, are refused", async () => {
    const proxy = await startFilter();
    expect(backendOf(proxy, LLM, [["host", "evil.example"]])).toBe("host_invalid");
  });

  test("a request without an authority is refused", async () => {
    const proxy = await startFilter();
    expect(
      refusal(
        proxy.stream({
          headers: [
            [":method", "GET"],
            [":path", "/"],
          ],
        }),
      ),
    ).toBe("host_invalid");
  });

  test("253 bytes of host still match", async () => {
    const host = `${"a".repeat(61)}.`.repeat(4) + "abcde";
    expect(host).toHaveLength(253);
    const proxy = await startFilter(routesTo({ [host]: "longest" }));
    expect(backendOf(proxy, host)).toBe("longest");
    expect(backendOf(proxy, `${host}.:80`)).toBe("longest");
  });

  test("any host finds what a plain search would find", async () => {
    const label = fc.constantFrom("a", "b", "c", "aa", "a-b");
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
    const pattern = fc.tuple(fc.boolean(), name).map(([wild, host]) => (wild ? `*.${host}` : host));
    const patterns =
      fc.sample(fc.uniqueArray(pattern, { minLength: 60, maxLength: 60 }), { numRuns: 1, seed: 3 })[0] ?? [];
    const proxy = await startFilter(routesTo(Object.fromEntries(patterns.map((host, i) => [host, `b${i}`]))));
    const expected = (host: string): string => {
      const suffixes = patterns.filter((p) => p.startsWith("*.") && host.endsWith(p.slice(1)));
      const best = patterns.includes(host) ? host : suffixes.sort((x, y) => y.length - x.length)[0];
      return best === undefined ? "" : `b${patterns.indexOf(best)}`;
    };
    fc.assert(
      fc.property(name, (host) => {
        expect(backendOf(proxy, host)).toBe(expected(host));
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

describe("what no route matches", () => {
  test("passes, by default, without a backend but with the hop's stamp", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, "other.example");
    expect(stream.action).toBe("continue");
    expect(stream.requestHeader("x-hopgate-backend")).toBeUndefined();
    expect(stream.requestHeader("x-hopgate-path")).toBe("ingress");
  });

  test("is a 404 where it is to be rejected", async () => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }));
    const stream = send(proxy, "other.example");
    expect(refusal(stream)).toBe("route_unmatched");
    expect(stream.response?.status).toBe(404);
    expect(backendOf(proxy, LLM)).toBe("llm");
  });
});

describe("by service, at a waypoint", () => {
  const WEB = "web.demo.svc.cluster.local";
  const config = (fields: Partial<PluginConfig> = {}): PluginConfig =>
    routesTo({ [WEB]: "web", [LLM]: "llm" }, { edge: false, match: "service", ...fields });
  const chain = (name: string): Record<string, string> => ({ "xds.filter_chain_name": name });

  test.each([LLM, WEB, "evil.example", "a,b", "", "user@x"])("the host header %j has no say", async (authority) => {
    const proxy = await startFilter(config());
    const stream = proxy.stream({ headers: requestTo(authority), properties: chain(`inbound-vip|80|http|${WEB}`) });
    expect(stream.requestHeader("x-hopgate-backend")).toBe("web");
  });

  test("another service is unmatched, whatever the host header says", async () => {
    const proxy = await startFilter(config({ unmatched: "reject" }));
    for (const name of [
      "inbound-vip|80|http|other.demo.svc.cluster.local",
      "default",
      `${WEB}|x`,
      `x${WEB}`,
      WEB.toUpperCase(),
    ]) {
      expect(refusal(proxy.stream({ headers: requestTo(WEB), properties: chain(name) }))).toBe("route_unmatched");
    }
  });

  test.each([{}, chain(""), chain("inbound-vip|80|http|"), chain("x".repeat(5000))])(
    "without a service there is no answer (%#)",
    async (properties) => {
      const proxy = await startFilter(config());
      expect(refusal(proxy.stream({ headers: requestTo(WEB), properties }))).toBe("host_invalid");
      expectNoTrap(proxy);
    },
  );

  test("the name of the chain alone is the service too", async () => {
    const proxy = await startFilter(config());
    const stream = proxy.stream({ headers: requestTo("x"), properties: chain(WEB) });
    expect(stream.requestHeader("x-hopgate-backend")).toBe("web");
  });
});

describe("between arms", () => {
  const split = (sticky?: string, weights: number[] = [10, 90], hop = "ingress"): PluginConfig => {
    const to = weights.map((weight, i) => ({ backend: `b${i}`, weight }));
    const route: PluginRoute = sticky === undefined ? { hosts: [LLM], to } : { hosts: [LLM], to, sticky };
    return pluginConfig({ hop, routes: [route], backends: Object.fromEntries(to.map(({ backend }) => [backend, {}])) });
  };
  const counts = (proxy: Emulator, header: string | undefined, requests: number): Map<string, number> => {
    const seen = new Map<string, number>();
    for (let i = 0; i < requests; i++) {
      const backend = backendOf(proxy, LLM, header === undefined ? [] : [[header, `session-${i}`]]);
      seen.set(backend, (seen.get(backend) ?? 0) + 1);
    }
    return seen;
  };
  /** Sum of (seen - expected)² / expected. */
  const chiSquare = (seen: Map<string, number>, weights: number[], requests: number): number =>
    weights.reduce((sum, weight, i) => {
      const expected = (weight / 100) * requests;
      return sum + ((seen.get(`b${i}`) ?? 0) - expected) ** 2 / expected;
    }, 0);

  test.each([
    ["the sticky header", "x-session-id", "x-session-id"],
    ["the request id", "x-session-id", "x-request-id"],
    ["a counter", undefined, undefined],
  ])("the weights hold by %s", async (_name, sticky, header) => {
    for (const weights of [
      [10, 90],
      [25, 25, 50],
      [1, 1, 1, 97],
    ]) {
      const proxy = await startFilter(split(sticky, weights));
      const seen = counts(proxy, header, 5000);
      // Three degrees of freedom at most: 16.3 would be seen once in a thousand; the inputs are fixed.
      expect(chiSquare(seen, weights, 5000)).toBeLessThan(16.3);
    }
  });

  test("an arm of weight 0 gets nothing, wherever it stands", async () => {
    for (const weights of [
      [0, 100],
      [100, 0],
      [50, 0, 50],
      [0, 0, 100],
    ]) {
      const seen = counts(await startFilter(split("x-session-id", weights)), "x-session-id", 500);
      weights.forEach((weight, i) => expect(seen.has(`b${i}`)).toBe(weight > 0));
    }
  });

  test("a session stays on its arm: over requests, workers, a restart and a change elsewhere in the configuration", async () => {
    const sessions = Array.from({ length: 200 }, (_, i) => `user-${i * 7919}`);
    const arms = async (config: PluginConfig, worker: number): Promise<(string | undefined)[]> => {
      const proxy = await startFilter(config, { workers: 2 });
      return sessions.map((id) => send(proxy, LLM, [["x-session-id", id]], worker).requestHeader("x-hopgate-backend"));
    };
    const first = await arms(split("X-Session-Id", [50, 50]), 0);
    expect(new Set(first).size).toBe(2);
    expect(await arms(split("x-session-id", [50, 50]), 1)).toEqual(first);
    expect(await arms({ ...split("x-session-id", [50, 50]), timing: { expose: "always" } }, 0)).toEqual(first);
  });

  test("hops draw independently of each other", async () => {
    const here = await startFilter(split("x-session-id", [50, 50], "ingress"));
    const there = await startFilter(split("x-session-id", [50, 50], "agents"));
    let same = 0;
    for (let i = 0; i < 1000; i++) {
      const header: Headers = [["x-session-id", `session-${i}`]];
      if (backendOf(here, LLM, header) === backendOf(there, LLM, header)) same++;
    }
    expect(same).toBeGreaterThan(420);
    expect(same).toBeLessThan(580);
  });

  test("a sticky header of ours is read before it is removed", async () => {
    const proxy = await startFilter(split("x-hopgate-session", [50, 50]));
    const backends = new Set(Array.from({ length: 20 }, () => backendOf(proxy, LLM, [["x-hopgate-session", "one"]])));
    expect(backends.size).toBe(1);
  });

  test("the token is that of the arm", async () => {
    const audiences = ["https://a.example", "https://b.example"];
    const config = pluginConfig({
      routes: [
        { hosts: [KB], to: audiences.map((_, i) => ({ backend: `b${i}`, weight: 50 })), sticky: "x-id", open: "x" },
      ],
      backends: Object.fromEntries(audiences.map((audience, i) => [`b${i}`, { token: { audience } }])),
    });
    const proxy = await warmFilter(config);
    const seen = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const stream = send(proxy, KB, [["x-id", `${i}`]]);
      const arm = Number(stream.requestHeader("x-hopgate-backend")?.slice(1));
      const payload = stream.requestHeader("authorization")?.split(".")[1] ?? "";
      expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toMatchObject({ aud: audiences[arm] });
      seen.add(`b${arm}`);
    }
    expect(seen.size).toBe(2);
  });
});

describe("a bypassed path", () => {
  const config = pluginConfig({
    unmatched: "reject",
    bypass: [{ path: "/healthz/ready" }, { path: "/livez", hosts: ["Health.example.internal."] }],
    timing: { expose: "always" },
  });
  const at = (proxy: Emulator, path: string, authority = KB): ReturnType<Emulator["stream"]> =>
    proxy.stream({
      headers: [
        [":method", "GET"],
        [":path", path],
        [":authority", authority],
        ["x-hopgate-backend", "llm"],
        ["x-serverless-authorization", "x"],
      ],
    });

  test.each(["/healthz/ready", "/healthz/ready?verbose", "/healthz/ready?"])(
    "%s is not routed, stamped, timed, counted or given a token, but sanitised",
    async (path) => {
      const proxy = await warmFilter(config);
      const stream = at(proxy, path);
      expect(stream.requestHeaders).toEqual([
        [":method", "GET"],
        [":path", path],
        [":authority", KB],
        ["x-serverless-authorization", "x"],
      ]);
      expect(answered(stream, [["x-hopgate-timing", "a;dur=1.0"]]).headers).toEqual([[":status", "200"]]);
      expect(Object.keys(proxy.metrics().histograms)).toEqual([]);
      expect(Object.keys(proxy.metrics().counters).filter((name) => name.startsWith("hopgate_requests"))).toEqual([]);
    },
  );

  test.each([
    "/healthz/ready/",
    "/healthz/readyx",
    "/healthz/read",
    "/Healthz/ready",
    "//healthz/ready",
    "/healthz/ready#x",
    "/healthz%2Fready",
  ])("%s is another path", async (path) => {
    const proxy = await warmFilter(config);
    expect(at(proxy, path).requestHeader("x-hopgate-backend")).toBe("kb");
  });

  test("comes before the host is looked at, unless it names hosts", async () => {
    const proxy = await warmFilter(config);
    expect(at(proxy, "/healthz/ready", "a,b").action).toBe("continue");
    expect(refusal(at(proxy, "/livez", "a,b"))).toBe("host_invalid");
  });

  test("holds for its hosts alone, if it names some", async () => {
    const proxy = await warmFilter(config);
    expect(at(proxy, "/livez", "health.example.internal:8080").requestHeader("x-hopgate-path")).toBeUndefined();
    expect(refusal(at(proxy, "/livez", "other.example"))).toBe("route_unmatched");
    expect(at(proxy, "/livez").requestHeader("x-hopgate-backend")).toBe("kb");
  });
});

describe("backends.X.authority", () => {
  test("rewrites the authority and keeps the caller's", async () => {
    const config = pluginConfig({ backends: { llm: { authority: "llm.svc:8080" }, kb: {} } });
    const stream = send(await startFilter(config), "LLM.example.internal:80", [["x-forwarded-host", "forged"]]);
    expect(stream.requestHeader(":authority")).toBe("llm.svc:8080");
    expect(stream.requestHeader("x-forwarded-host")).toBe("LLM.example.internal:80");
    expect(stream.requestHeader("x-hopgate-backend")).toBe("llm");
  });

  test("is not touched elsewhere", async () => {
    const stream = send(await startFilter(), LLM, [["x-forwarded-host", "kept"]]);
    expect(stream.requestHeader(":authority")).toBe(LLM);
    expect(stream.requestHeader("x-forwarded-host")).toBe("kept");
  });
});

test("any bytes in any header: routed or refused, never a trap", async () => {
  const proxy = await startFilter(pluginConfig({ edge: false, bypass: [{ path: "/healthz" }] }));
  const text = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  });
  const name = fc.oneof(
    fc.constantFrom(
      ":authority",
      ":path",
      ":method",
      "host",
      "upgrade",
      "x-request-id",
      "authorization",
      "x-hopgate-path",
      "x-hopgate-backend",
      "x-hopgate-trace",
    ),
    text.filter((value) => value.length > 0),
  );
  const headers = fc.array(fc.tuple(name, text), { maxLength: 30 });
  fc.assert(
    fc.property(headers, (list) => {
      const stream = proxy.stream({ headers: list });
      expectNoTrap(proxy);
      stream.abort();
    }),
    { numRuns: 1000, seed: 5 },
  );
});

test("a session stays on its arm when another route is added before its own", async () => {
  const arms = [
    { backend: "llm", weight: 50 },
    { backend: "kb", weight: 50 },
  ];
  const split = { hosts: ["s.example"], to: arms, sticky: "x-session" };
  const config = (routes: PluginConfig["routes"]): PluginConfig =>
    pluginConfig({ routes, backends: { llm: {}, kb: {} } });
  const proxy = await startFilter(config([split]));
  const choices = (): (string | undefined)[] =>
    Array.from({ length: 200 }, (_, i) =>
      send(proxy, "s.example", [["x-session", `user ${i}`]]).requestHeader("x-hopgate-backend"),
    );
  const before = choices();
  expect(new Set(before)).toEqual(new Set(["llm", "kb"]));
  reconfigure(proxy, config([{ hosts: ["new.example"], to: [{ backend: "llm", weight: 100 }] }, split]));
  expect(choices()).toEqual(before);
});

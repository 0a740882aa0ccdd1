import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import {
  expectNoTrap,
  hopgate,
  KB,
  LLM,
  METADATA,
  oneRoute,
  pluginConfig,
  reconfigure,
  refusal,
  send,
  startFilter,
} from "../../support/filter.js";

/** What the one log line says about a configuration that is refused. */
async function refused(config: string | Uint8Array): Promise<string> {
  const proxy = await Emulator.start({ module: hopgate });
  expect(proxy.configure({ config })).toEqual({ accepted: false });
  expectNoTrap(proxy);
  expect(proxy.logs).toEqual([{ level: "error", vm: "canary", message: expect.any(String) as string }]);
  const prefix = "hopgate: configuration refused: ";
  const message = proxy.logs[0]?.message ?? "";
  expect(message.startsWith(prefix)).toBe(true);
  return message.slice(prefix.length);
}

const validator = {
  issuers: ["https://accounts.google.com"],
  audiences: ["https://kb.example.internal"],
  emails: ["*"],
  jwks: { cluster: "jwks", authority: "www.googleapis.com", path: "/oauth2/v3/certs" },
};

function impersonating(fields: object): object {
  const impersonate = { serviceAccount: "a@p.iam.gserviceaccount.com", cluster: "iam", authority: "iam.example" };
  return { mode: "impersonate", impersonate: { ...impersonate, ...fields } };
}

/** Every field of the contract that this version runs with. */
const full = {
  hop: "ingress-1",
  edge: true,
  match: "authority",
  unmatched: "pass",
  routes: [
    {
      hosts: [LLM, "*.llm.example.internal", "UPPER.Example.Internal."],
      to: [
        { backend: "llm", weight: 30 },
        { backend: "plain", weight: 70 },
      ],
      sticky: "X-Session-Id",
    },
    { hosts: [KB], to: [{ backend: "kb", weight: 100 }], open: "callers are checked by AuthorizationPolicy kb" },
  ],
  backends: {
    llm: { through: "agents" },
    plain: { authority: "plain.default.svc.cluster.local:8080" },
    kb: { token: { audience: "https://kb-abc123-uc.a.run.app", header: "auto" } },
  },
  identity: { mode: "metadata", cluster: METADATA, timeoutMs: 2000, refreshBeforeSec: 240, maxWaiters: 1000 },
  validators: {
    google: {
      ...validator,
      emails: ["orchestrator@p.iam.gserviceaccount.com"],
      algorithm: "RS256",
      header: "X-Token",
      clockSkewSec: 60,
      maxLifetimeSec: 3660,
      forward: true,
      jwks: { ...validator.jwks, cacheSec: 600, maxStaleSec: 3600, cooldownSec: 30, timeoutMs: 2000 },
    },
  },
  bypass: [{ path: "/healthz/ready" }, { path: "/livez", hosts: ["health.example.internal"] }],
  timing: { expose: "trace", key: "secret" },
};

describe("accepted", () => {
  test("every field of the contract", async () => {
    await startFilter(JSON.stringify(full));
  });

  test.each([
    ["nothing but what is required", { hop: "a", routes: [], backends: {} }],
    ["a hop of 63 bytes", { hop: "a".repeat(63), routes: [], backends: {} }],
    ["identity without fields", oneRoute({ token: { audience: "https://a.example" } }, { identity: {} })],
    ["identity off", oneRoute({ token: { audience: "https://a.example" } }, { identity: { mode: "off" } })],
    [
      "an inner hop that injects without open",
      pluginConfig({ edge: false, routes: [{ hosts: [KB], to: [{ backend: "kb", weight: 100 }] }] }),
    ],
    [
      "a weight of 0",
      pluginConfig({
        routes: [
          {
            hosts: [LLM],
            to: [
              { backend: "llm", weight: 0 },
              { backend: "llm", weight: 100 },
            ],
          },
        ],
      }),
    ],
    [
      "a hundred arms",
      pluginConfig({
        routes: [{ hosts: [LLM], to: Array.from({ length: 100 }, () => ({ backend: "llm", weight: 1 })) }],
      }),
    ],
    [
      "a host and its wildcard",
      pluginConfig({ routes: [{ hosts: [LLM, `*.${LLM}`], to: [{ backend: "llm", weight: 100 }] }] }),
    ],
    ["match service and reject", pluginConfig({ match: "service", unmatched: "reject" })],
    ["an audience of 1024 bytes", oneRoute({ token: { audience: "a".repeat(1024) } })],
  ])("%s", async (_name, config) => {
    const proxy = await startFilter(JSON.stringify(config));
    expect(proxy.logs).toEqual([]);
  });

  test("names and texts spelled with escapes", async () => {
    const config = JSON.stringify(pluginConfig()).replace('"hop"', '"\\u0068op"').replace('"llm":', '"\\u006clm":');
    const proxy = await startFilter(config);
    expect(send(proxy, LLM).requestHeader("x-hopgate-backend")).toBe("llm");
  });

  test("white space in all places", async () => {
    await startFilter(` \t\r\n${JSON.stringify(full, undefined, "\t")}\n\n`);
  });

  test("ten thousand hosts, found again", async () => {
    const host = (i: number): string => `h${i}.example.internal`;
    const routes = Array.from({ length: 10_000 }, (_, i) => ({
      hosts: [host(i)],
      to: [{ backend: `b${i % 100}`, weight: 100 }],
    }));
    const backends = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`b${i}`, {}]));
    const proxy = await startFilter(pluginConfig({ routes, backends }));
    for (const i of [0, 99, 5050, 9999])
      expect(send(proxy, host(i)).requestHeader("x-hopgate-backend")).toBe(`b${i % 100}`);
  });
});

/** The full configuration with one thing changed. */
function changed(change: (config: Mutable) => void): string {
  const config = structuredClone(full) as Mutable;
  change(config);
  return JSON.stringify(config);
}
// A test of wrong configurations writes what no type allows.
type Mutable = Record<string, never> & typeof full;
const set = (path: string, value: unknown): string =>
  changed((config) => {
    const names = path.split(".");
    const last = names.pop() ?? "";
    const owner = names.reduce<Record<string, unknown>>((node, name) => node[name] as Record<string, unknown>, config);
    owner[last] = value; // undefined is left out of the JSON
  });

describe("refused, naming path and reason", () => {
  const integer = (least: number, most: number): string => `must be an integer from ${least} to ${most}`;
  const rows: [string, string][] = [
    // Fields that are not known, at every level.
    [set("nope", 1), "nope: is not a known field"],
    [set("routes.0.nope", 1), "routes[0].nope: is not a known field"],
    [set("routes.1.to.0.nope", 1), "routes[1].to[0].nope: is not a known field"],
    [set("backends.llm.nope", 1), "backends.llm.nope: is not a known field"],
    [set("backends.kb.token.nope", 1), "backends.kb.token.nope: is not a known field"],
    [set("identity.nope", 1), "identity.nope: is not a known field"],
    [set("validators.google.nope", 1), "validators.google.nope: is not a known field"],
    [set("validators.google.jwks.nope", 1), "validators.google.jwks.nope: is not a known field"],
    [set("bypass.0.nope", 1), "bypass[0].nope: is not a known field"],
    [set("timing.nope", 1), "timing.nope: is not a known field"],
    [set("Hop", "a"), "Hop: is not a known field"],
    [set("hop\0", "a"), "hop?: is not a known field"],
    // What is required.
    [set("hop", undefined), "hop: is required"],
    [set("routes", undefined), "routes: is required"],
    [set("backends", undefined), "backends: is required"],
    [set("routes.0.hosts", undefined), "routes[0].hosts: is required"],
    [set("routes.0.to", undefined), "routes[0].to: is required"],
    [set("routes.0.to.0.backend", undefined), "routes[0].to[0].backend: is required"],
    [set("backends.kb.token.audience", undefined), "backends.kb.token.audience: is required"],
    [set("identity", undefined), "identity: is required where a backend has a token"],
    [set("bypass.0.path", undefined), "bypass[0].path: is required"],
    ...["issuers", "audiences", "emails", "jwks"].map((field): [string, string] => [
      set(`validators.google.${field}`, undefined),
      `validators.google.${field}: is required`,
    ]),
    ...["cluster", "authority", "path"].map((field): [string, string] => [
      set(`validators.google.jwks.${field}`, undefined),
      `validators.google.jwks.${field}: is required`,
    ]),
    // Wrong types.
    [set("hop", 1), "hop: must be a string"],
    [set("hop", null), "hop: must be a string"],
    [set("plugin", 1), "plugin: must be a string"],
    [set("edge", "true"), "edge: must be true or false"],
    [set("edge", 1), "edge: must be true or false"],
    [set("match", "host"), "match: must be one of authority, service"],
    [set("match", 1), "match: must be one of authority, service"],
    [set("unmatched", "drop"), "unmatched: must be one of pass, reject"],
    [set("routes", {}), "routes: must be an array"],
    [set("routes.0", []), "routes[0]: must be an object"],
    [set("routes.0.hosts", "a.example"), "routes[0].hosts: must be an array"],
    [set("routes.0.hosts.0", 1), "routes[0].hosts[0]: must be a string"],
    [set("routes.0.to", {}), "routes[0].to: must be an array"],
    [set("routes.0.to.0.weight", "30"), `routes[0].to[0].weight: ${integer(0, 100)}`],
    [set("routes.0.to.0.weight", 30.5), `routes[0].to[0].weight: ${integer(0, 100)}`],
    [set("routes.0.to.0.weight", -1), `routes[0].to[0].weight: ${integer(0, 100)}`],
    [set("routes.0.to.0.weight", 101), `routes[0].to[0].weight: ${integer(0, 100)}`],
    [set("routes.0.sticky", true), "routes[0].sticky: must be a string"],
    [set("backends", []), "backends: must be an object"],
    [set("backends.llm", null), "backends.llm: must be an object"],
    [set("backends.kb.token", "https://a.example"), "backends.kb.token: must be an object"],
    [
      set("backends.kb.token.header", "cookie"),
      "backends.kb.token.header: must be one of auto, authorization, x-serverless-authorization",
    ],
    [set("identity", "metadata"), "identity: must be an object"],
    [set("identity.mode", "none"), "identity.mode: must be one of metadata, impersonate, off"],
    [set("identity.mode", "impersonate"), "identity.impersonate: is required"],
    [set("identity", impersonating({ serviceAccount: undefined })), "identity.impersonate.serviceAccount: is required"],
    [set("identity", impersonating({ authority: undefined })), "identity.impersonate.authority: is required"],
    [set("identity", impersonating({ cluster: "" })), "identity.impersonate.cluster: must not be empty"],
    ...["a", "@p", "a@", "a@b@c", "a/b@p", "a@p/x", "a@p:x", "a b@p", "a@p?x", "a%2fb@p", `${"a".repeat(255)}@p`].map(
      (serviceAccount): [string, string] => [
        set("identity", impersonating({ serviceAccount })),
        "identity.impersonate.serviceAccount: must be the email of a service account",
      ],
    ),
    [
      set("identity", { ...impersonating({}), mode: "metadata" }),
      "identity.impersonate: is for mode impersonate alone",
    ],
    [set("identity.timeoutMs", 0), `identity.timeoutMs: ${integer(1, 60_000)}`],
    [set("identity.timeoutMs", 4294967297), `identity.timeoutMs: ${integer(1, 60_000)}`],
    [set("identity.timeoutMs", 1e300), `identity.timeoutMs: ${integer(1, 60_000)}`],
    [set("identity.refreshBeforeSec", 3001), `identity.refreshBeforeSec: ${integer(1, 3000)}`],
    [set("identity.maxWaiters", -1), `identity.maxWaiters: ${integer(1, 100_000)}`],
    [set("validators", []), "validators: must be an object"],
    [set("validators.google.issuers", []), "validators.google.issuers: must not be empty"],
    [set("validators.google.emails", "*"), "validators.google.emails: must be an array"],
    [set("validators.google.algorithm", "none"), "validators.google.algorithm: must be one of RS256, ES256"],
    [set("validators.google.header", "X-Hopgate-Token"), "validators.google.header: must not begin with x-hopgate-"],
    [set("validators.google.header", "a b"), "validators.google.header: must be the name of a header"],
    [set("validators.google.clockSkewSec", 601), `validators.google.clockSkewSec: ${integer(0, 600)}`],
    [set("validators.google.forward", 1), "validators.google.forward: must be true or false"],
    [set("validators.google.jwks.path", "certs"), "validators.google.jwks.path: must begin with /"],
    [set("bypass", "/healthz"), "bypass: must be an array"],
    [set("bypass.0.path", "healthz"), "bypass[0].path: must begin with / and have no query"],
    [set("bypass.0.path", "/healthz?x"), "bypass[0].path: must begin with / and have no query"],
    [set("bypass.1.hosts.0", "a b"), "bypass[1].hosts[0]: is not a valid host name"],
    [set("timing", "always"), "timing: must be an object"],
    [set("timing.expose", "yes"), "timing.expose: must be one of never, always, trace"],
    [set("timing.key", 5), "timing.key: must be a string"],
    // Empty text.
    [set("hop", ""), "hop: must not be empty"],
    [set("routes.1.open", ""), "routes[1].open: must not be empty"],
    [set("routes.0.to.0.backend", ""), "routes[0].to[0].backend: must not be empty"],
    [set("backends.kb.token.audience", ""), "backends.kb.token.audience: must not be empty"],
    [set("timing.key", ""), "timing.key: must not be empty"],
    [set("identity.cluster", ""), "identity.cluster: must not be empty"],
    // Names.
    [set("hop", "Ingress"), "hop: must be 1 to 63 of a-z, 0-9 and -"],
    [set("hop", "a".repeat(64)), "hop: must be 1 to 63 of a-z, 0-9 and -"],
    [set("hop", "a.b"), "hop: must be 1 to 63 of a-z, 0-9 and -"],
    [set("backends.LLM", {}), "backends.LLM: the name of a backend must be 1 to 63 of a-z, 0-9 and -"],
    [set("backends._unmatched", {}), "backends._unmatched: the name of a backend must be 1 to 63 of a-z, 0-9 and -"],
    [set("backends.llm.through", "A"), "backends.llm.through: must be the name of a hop"],
    [set("routes.0.sticky", "x session"), "routes[0].sticky: must be the name of a header"],
    [set("routes.0.sticky", "x".repeat(129)), "routes[0].sticky: must be the name of a header"],
    // Dangling names, weights, arms.
    [set("routes.0.to.0.backend", "lmm"), "routes[0].to[0].backend: names no backend"],
    [set("routes.1.to.0.weight", 99), "routes[1].to: the weights must sum to 100"],
    [set("routes.0.to.1.weight", 71), "routes[0].to: the weights must sum to 100"],
    [set("routes.0.to", []), "routes[0].to: the weights must sum to 100"],
    [
      set(
        "routes.0.to",
        Array.from({ length: 101 }, (_, i) => ({ backend: "llm", weight: i < 100 ? 1 : 0 })),
      ),
      "routes[0].to[100]: a route has at most 100 arms",
    ],
    // Hosts.
    [set("routes.0.hosts", []), "routes[0].hosts: must list a host"],
    ...[
      "",
      "a..b",
      ".a",
      "-a",
      "a-",
      "a_b",
      "a b",
      "a:80",
      "*",
      "*.",
      "a.*.b",
      "**.a",
      "*a",
      "a%20b",
      "[::1]",
      "a".repeat(64),
      `${"a.".repeat(127)}a`,
      "é.example",
    ].map((host): [string, string] => [
      set("routes.0.hosts.1", host),
      `routes[0].hosts[1]: ${host === "" ? "must not be empty" : "is not a valid host name"}`,
    ]),
    [set("routes.1.hosts.0", LLM), "routes[1].hosts[0]: is listed twice"],
    [set("routes.1.hosts.0", LLM.toUpperCase()), "routes[1].hosts[0]: is listed twice"],
    [set("routes.1.hosts.0", `${LLM}.`), "routes[1].hosts[0]: is listed twice"],
    [set("routes.1.hosts.0", "*.LLM.example.internal."), "routes[1].hosts[0]: is listed twice"],
    // Security.
    [
      set("routes.1.open", undefined),
      "routes[1]: injects a token at an edge: needs validate, or open with the reason why callers are not checked here",
    ],
    ...["backends.kb.token.audience", "identity.cluster", "validators.google.jwks.path"].map(
      (path): [string, string] => [set(path, "/".repeat(1025)), `${path}: must have at most 1024 bytes`],
    ),
    // Not in this version.
    [set("validate", "gogle"), "validate: names no validator"],
    [
      set("validators.google.emails", ["*", "a@b.example"]),
      "validators.google.emails: has * and others: * allows any caller",
    ],
    [set("routes.0.validate", "gogle"), "routes[0].validate: names no validator"],
    // What is no object.
    ["[]", "configuration: must be an object"],
    ["5", "configuration: must be an object"],
    ['"hop"', "configuration: must be an object"],
    ["null", "configuration: must be an object"],
    ["true", "configuration: must be an object"],
    // What is no JSON.
    ["", "configuration: is empty at byte 0"],
    [" \n", "configuration: is empty at byte 2"],
    ['{"hop":"a"', "configuration: is not valid JSON at byte 10"],
    ['{"hop":"a",}', "configuration: is not valid JSON at byte 11"],
    ["{'hop':'a'}", "configuration: is not valid JSON at byte 1"],
    ['{"hop":"a"} x', "configuration: is not valid JSON at byte 12"],
    ['{"hop":"a"}\0', "configuration: is not valid JSON at byte 11"],
    ['{"hop":"a"}{}', "configuration: is not valid JSON at byte 11"],
    ['\uFEFF{"hop":"a"}', "configuration: is not valid JSON at byte 0"],
    ['{"hop":"a","hop":"b"}', "configuration: has a duplicate name at byte 12"],
    ['{"hop":"a","\\u0068op":"b"}', "configuration: has a duplicate name at byte 12"],
    [
      JSON.stringify(pluginConfig()).replace('"llm":{}', '"llm":{},"llm":{}'),
      "configuration: has a duplicate name at byte",
    ],
    [`{"a":${"[".repeat(16)}${"]".repeat(16)}}`, "configuration: is nested deeper than 16 levels at byte 20"],
    ['{"hop":"\\ud800"}', "configuration: has text that is not valid UTF-8 or a wrong escape at byte 8"],
    ['{"hop":"\\x"}', "configuration: has text that is not valid UTF-8 or a wrong escape at byte 8"],
    ['{"hop":01}', "configuration: is not valid JSON at byte 8"],
    ['{"hop":NaN}', "configuration: is not valid JSON at byte 7"],
  ];

  test.each(rows)("%.300s → %s", async (config, reason) => {
    const actual = await refused(config);
    expect(reason.endsWith("at byte") ? actual.replace(/ \d+$/, "") : actual).toBe(reason);
  });

  test("bytes that are not UTF-8", async () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
      const config = Buffer.concat([Buffer.from('{"hop":"'), Buffer.from(bytes), Buffer.from('"}')]);
      expect(await refused(config)).toBe("configuration: has text that is not valid UTF-8 or a wrong escape at byte 8");
    }
  });

  test("depth 16 is still accepted as JSON", async () => {
    expect(await refused(`{"a":${"[".repeat(15)}${"]".repeat(15)}}`)).toBe("hop: is required");
  });

  test("more than 8 MiB, without a trap", async () => {
    const proxy = await Emulator.start({ module: hopgate });
    expect(proxy.configure({ config: " ".repeat(8 * 1024 * 1024 + 1) })).toEqual({ accepted: false });
    expectNoTrap(proxy);
  });

  test("a million values, in bounded time", async () => {
    expect(await refused(`[${"0,".repeat(1_100_000)}0]`)).toMatch(/^configuration: has too many values/);
  });

  test("thousands of objects with many names, in a time that does not depend on the largest", async () => {
    const object = (names: number): string =>
      `{${Array.from({ length: names }, (_, i) => `"${i.toString(36)}":0`).join()}}`;
    const milliseconds = async (objects: string[]): Promise<number> => {
      const start = performance.now();
      expect(await refused(`[${objects.join()}]`)).toBe("configuration: must be an object");
      return performance.now() - start;
    };
    const thousands = Array.from({ length: 13_000 }, () => object(17));
    const alone = await milliseconds(thousands);
    // A table cleared whole each time would cost seconds.
    expect(await milliseconds([object(250_000), ...thousands])).toBeLessThan(4 * alone + 1000);
  });
});

test("mutations of a configuration never trap: accepted or refused with one line", async () => {
  const text = Buffer.from(JSON.stringify(full));
  const proxy = await Emulator.start({ module: hopgate, clusters: { [METADATA]: "ok" } });
  const mutation = fc.tuple(fc.nat(text.length - 1), fc.nat(20), fc.uint8Array({ maxLength: 6 }));
  fc.assert(
    fc.property(mutation, ([at, cut, insert]) => {
      const config = Buffer.concat([text.subarray(0, at), insert, text.subarray(at + cut)]);
      proxy.logs.length = 0;
      const { accepted } = proxy.configure({ config });
      expect(proxy.logs.filter((line) => line.vm === "canary")).toHaveLength(accepted ? 0 : 1);
      expectNoTrap(proxy);
    }),
    { numRuns: 400, seed: 7 },
  );
});

describe("the throw-away VM", () => {
  test("has no effect outside: no call, no shared data, no metric", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    expect(proxy.calls).toEqual([]);
    expect(proxy.sharedData.keys()).toEqual([]);
    expect(proxy.metrics()).toEqual({ counters: {}, gauges: {}, histograms: {} });
    expect(proxy.logs).toEqual([]);
  });

  test("has none either where it refuses", async () => {
    const proxy = await Emulator.start({ module: hopgate, clusters: { [METADATA]: "ok" } });
    expect(reconfigure(proxy, set("nope", 1))).toEqual({ accepted: false });
    proxy.advance(5000);
    expect(proxy.calls).toEqual([]);
    expect(proxy.sharedData.keys()).toEqual([]);
    expect(proxy.metrics()).toEqual({ counters: {}, gauges: {}, histograms: {} });
  });
});

describe("a change of configuration", () => {
  test("that is refused leaves the old one serving", async () => {
    const proxy = await startFilter();
    expect(reconfigure(proxy, pluginConfig({ hop: "BAD" }))).toEqual({ accepted: false });
    expect(send(proxy, LLM).requestHeader("x-hopgate-backend")).toBe("llm");
  });

  test("holds for new requests; those under way keep theirs", async () => {
    const config = (hop: string, expose: "always" | "never"): PluginConfig => pluginConfig({ hop, timing: { expose } });
    const proxy = await startFilter(config("first", "always"));
    const old = send(proxy, LLM);
    reconfigure(proxy, config("second", "never"));
    const fresh = send(proxy, LLM);
    expect(fresh.requestHeader("x-hopgate-path")).toBe("second");
    old.respond([[":status", "200"]]);
    fresh.respond([[":status", "200"]]);
    expect(old.responseHeader("server-timing")).toMatch(/^first;/);
    expect(fresh.responseHeader("server-timing")).toBeUndefined();
    expectNoTrap(proxy);
  });

  test("two plugins in one VM never mix", async () => {
    const proxy = await startFilter(pluginConfig({ hop: "one" }));
    proxy.configure({
      name: "other",
      config: JSON.stringify(pluginConfig({ hop: "two", routes: [], unmatched: "reject" })),
    });
    for (let i = 0; i < 3; i++) {
      expect(send(proxy, LLM).requestHeader("x-hopgate-path")).toBe("one");
      expect(
        refusal(
          proxy.stream({
            plugin: "other",
            headers: [
              [":method", "GET"],
              [":path", "/"],
              [":authority", LLM],
            ],
          }),
        ),
      ).toBe("route_unmatched");
    }
  });
});

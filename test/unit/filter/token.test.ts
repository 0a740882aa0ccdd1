import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { PluginIdentity } from "../../../shim/render/plugin-config.js";
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
  NOW_MS,
  NOW_SEC,
  oneRoute,
  pluginConfig,
  reconfigure,
  refusal,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";

const KEY = `hopgate/1/metadata/${METADATA}/${KB_AUDIENCE}`;
const HOUR_MS = 3_600_000;

/** The header that a request to the Cloud Run backend is sent with, or how it ended else. */
function authorizationOf(proxy: Emulator, worker = 0): string | undefined {
  const stream = send(proxy, KB, [], worker);
  const value = stream.paused ? "paused" : (stream.requestHeader("authorization") ?? refusal(stream));
  if (stream.paused || stream.localReply === undefined) stream.abort();
  return value;
}

/** Lets time pass and notes when each call to the metadata server begins, in ms from now; `answer` deals with it. */
function callTimes(proxy: Emulator, forMs: number, answer: (proxy: Emulator) => void, stepMs = 100): number[] {
  const start = proxy.clock.monotonicMs;
  const times: number[] = [];
  while (proxy.clock.monotonicMs - start < forMs) {
    proxy.advance(stepMs);
    for (let count = proxy.calls.length; count > 0; count--) times.push(proxy.clock.monotonicMs - start);
    if (proxy.calls.length > 0) answer(proxy);
  }
  return times;
}

function identity(fields: PluginIdentity): { identity: PluginIdentity } {
  return { identity: { cluster: METADATA, ...fields } };
}

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
    expect(proxy.calls).toHaveLength(2 * 256); // a worker and the main thread
    const last = send(proxy, "a599.example");
    expect(last.paused).toBe(true);
    answerAll(proxy);
    proxy.advance(20);
    answerAll(proxy);
    proxy.advance(20);
    expect(last.requestHeader("authorization")).toMatch(/^Bearer /);
  });
});

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

  test("makes its worker tick every 20 ms only while somebody waits", async () => {
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
    expect(ticksPerSecond()).toBeGreaterThanOrEqual(49);
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

describe("the header", () => {
  test.each([
    ["auto", [], "authorization"],
    ["auto", [["authorization", "Basic abc"]], "x-serverless-authorization"],
    ["auto", [["authorization", ""]], "x-serverless-authorization"],
    ["authorization", [["authorization", "Basic abc"]], "authorization"],
    ["x-serverless-authorization", [], "x-serverless-authorization"],
    ["x-serverless-authorization", [["authorization", "Basic abc"]], "x-serverless-authorization"],
  ] as const)("%s with %j is %s", async (header, sent, expected) => {
    const proxy = await warmFilter(oneRoute({ token: { audience: KB_AUDIENCE, header } }));
    const stream = send(proxy, KB, sent);
    const other = expected === "authorization" ? "x-serverless-authorization" : "authorization";
    expect(stream.requestHeader(expected)).toMatch(/^Bearer ey/);
    expect(stream.requestHeader(other)).toBe(expected === "authorization" ? undefined : sent[0]?.[1]);
  });

  test("replaces what the caller put into x-serverless-authorization, in any number", async () => {
    const proxy = await warmFilter();
    const forged: Headers = [
      ["x-serverless-authorization", "Bearer a"],
      ["X-Serverless-Authorization", "Bearer b"],
    ];
    const auto = send(proxy, KB, forged);
    expect(auto.requestHeaders?.filter(([name]) => name === "x-serverless-authorization")).toEqual([]);
    const both = send(proxy, KB, [...forged, ["authorization", "Basic abc"]]);
    const sent = both.requestHeaders?.filter(([name]) => name === "x-serverless-authorization") ?? [];
    expect(sent.map(([, value]) => value.slice(0, 9))).toEqual(["Bearer ey"]);
    expect(both.requestHeader("authorization")).toBe("Basic abc");
  });

  test("does not keep the header of a held request from the request before it on the same context object", async () => {
    const proxy = await warmFilter();
    answered(send(proxy, KB, [["authorization", "Basic abc"]]));
    expect(send(proxy, KB).requestHeader("authorization")).toMatch(/^Bearer ey/);
  });

  test("is not added where the backend has no token, and the caller's is left alone there", async () => {
    const proxy = await warmFilter();
    const stream = send(proxy, "llm.example.internal", [
      ["x-serverless-authorization", "Bearer a"],
      ["authorization", "b"],
    ]);
    expect(stream.requestHeader("x-serverless-authorization")).toBe("Bearer a");
    expect(stream.requestHeader("authorization")).toBe("b");
  });

  test.each([
    [[["upgrade", "websocket"]], undefined],
    [[["upgrade", "WebSocket"]], undefined],
    [[["upgrade", "h2c"]], "upgrade_unsupported"],
    [
      [
        ["upgrade", "websocket"],
        ["upgrade", "h2c"],
      ],
      "upgrade_unsupported",
    ],
    [[["upgrade", "connect-udp"]], "upgrade_unsupported"],
    [[["upgrade", "websocket2"]], "upgrade_unsupported"],
  ] as const)("with %j the answer is %s", async (headers, expected) => {
    const proxy = await warmFilter();
    const stream = send(proxy, KB, headers);
    expect(refusal(stream)).toBe(expected);
    expect(stream.requestHeader("authorization")?.slice(0, 9)).toBe(expected === undefined ? "Bearer ey" : undefined);
    // Without a token there is nothing to abuse.
    expect(refusal(send(proxy, "llm.example.internal", headers))).toBeUndefined();
  });

  test("is never given to CONNECT", async () => {
    const proxy = await warmFilter();
    const stream = proxy.stream({
      headers: [
        [":method", "CONNECT"],
        [":authority", `${KB}:443`],
      ],
    });
    expect(refusal(stream)).toBe("upgrade_unsupported");
  });
});

describe("what the metadata server may answer", () => {
  const future = NOW_SEC + 3600;
  const html = "<html><body>captive portal</body></html>";
  const fetched = (result: string): string => `hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`;
  const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const rows: [string, Headers, string, string][] = [
    [
      "a 500",
      [
        [":status", "500"],
        ["metadata-flavor", "Google"],
      ],
      idToken(),
      "bad_status",
    ],
    [
      "a 302",
      [
        [":status", "302"],
        ["metadata-flavor", "Google"],
      ],
      idToken(),
      "bad_status",
    ],
    ["no status", [["metadata-flavor", "Google"]], idToken(), "reset"],
    ["no Metadata-Flavor", [[":status", "200"]], idToken(), "not_a_metadata_server"],
    [
      "an empty Metadata-Flavor",
      [
        [":status", "200"],
        ["metadata-flavor", ""],
      ],
      idToken(),
      "not_a_metadata_server",
    ],
    [
      "another Metadata-Flavor",
      [
        [":status", "200"],
        ["metadata-flavor", "google"],
      ],
      idToken(),
      "not_a_metadata_server",
    ],
    ["a 404 of another server", [[":status", "404"]], "", "audience_refused"],
    ["HTML", FROM_METADATA, html, "bad_token"],
    ["nothing", FROM_METADATA, "", "bad_token"],
    ["an expired token", FROM_METADATA, idToken({ exp: NOW_SEC - 1 }), "bad_token"],
    ["one that expires in 4 s", FROM_METADATA, idToken({ exp: NOW_SEC + 4 }), "bad_token"],
    ["one without exp", FROM_METADATA, idToken({ exp: undefined }), "bad_token"],
    ["exp as text", FROM_METADATA, idToken({ exp: String(future) }), "bad_token"],
    ["exp with a fraction", FROM_METADATA, idToken({ exp: future + 0.5 }), "bad_token"],
    ["exp below 0", FROM_METADATA, idToken({ exp: -future }), "bad_token"],
    ["exp in 2096", FROM_METADATA, idToken({ exp: 4_000_000_001 }), "bad_token"],
    ["exp far beyond 2100", FROM_METADATA, idToken({ exp: 9e15 }), "bad_token"],
    ["exp beyond what JSON agrees on", FROM_METADATA, idToken({ exp: 1e300 }), "bad_token"],
    ["another audience", FROM_METADATA, idToken({ aud: "https://other.example" }), "bad_token"],
    ["an audience that ours is a prefix of", FROM_METADATA, idToken({ aud: `${KB_AUDIENCE}x` }), "bad_token"],
    ["an audience that is a prefix of ours", FROM_METADATA, idToken({ aud: KB_AUDIENCE.slice(0, -1) }), "bad_token"],
    ["an array of audiences", FROM_METADATA, idToken({ aud: [KB_AUDIENCE] }), "bad_token"],
    ["no audience", FROM_METADATA, idToken({ aud: undefined }), "bad_token"],
    ["two parts", FROM_METADATA, idToken().split(".").slice(0, 2).join("."), "bad_token"],
    ["four parts", FROM_METADATA, `${idToken()}.eA`, "bad_token"],
    ["two dots side by side", FROM_METADATA, idToken().replace(".", ".."), "bad_token"],
    ["no signature", FROM_METADATA, idToken().replace(/[^.]*$/, ""), "bad_token"],
    ["no header", FROM_METADATA, idToken().replace(/^[^.]*/, ""), "bad_token"],
    ["a line break within", FROM_METADATA, idToken().replace(".", ".\n"), "bad_token"],
    ["padding", FROM_METADATA, `${idToken()}=`, "bad_token"],
    ["a comma", FROM_METADATA, `${idToken()},x`, "bad_token"],
    ["bytes over 127", FROM_METADATA, `${idToken()}ü`, "bad_token"],
    ["a payload that is no object", FROM_METADATA, `eyJ9.${json([KB_AUDIENCE])}.eA`, "bad_token"],
    [
      "a payload with bits left over",
      FROM_METADATA,
      `eyJ9.${json({ aud: KB_AUDIENCE, exp: future, a: 1 })}B.eA`,
      "bad_token",
    ],
    [
      "a payload with two audiences",
      FROM_METADATA,
      `eyJ9.${Buffer.from(`{"aud":"${KB_AUDIENCE}","aud":"x","exp":${future}}`).toString("base64url")}.eA`,
      "bad_token",
    ],
    ["17 KB", FROM_METADATA, idToken({}, 12_500), "bad_token"],
    ["1 MB", FROM_METADATA, "e".repeat(1 << 20), "bad_token"],
  ];

  test.each(rows)("refuses %s", async (_name, headers, body, result) => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.respond(headers, body);
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.metrics().counters[fetched(result)]).toBe(1);
    expect(proxy.logs).toEqual([
      {
        level: "warn",
        vm: expect.any(String) as string,
        message: `hopgate: no ID token for audience ${KB_AUDIENCE}: ${result}`,
      },
    ]);
    expectNoTrap(proxy);
  });

  test("refuses more than 32 MiB, which the host reports as no answer at all", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.respond(FROM_METADATA, Buffer.alloc(34 << 20, "e"));
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.metrics().counters[fetched("reset")]).toBe(1);
  });

  test("takes a token just under 16 KiB, and one with white space behind it", async () => {
    for (const token of [idToken({}, 11_900), `${idToken()} \r\n`]) {
      const proxy = await startFilter();
      proxy.advance(20);
      proxy.calls[0]?.respond(FROM_METADATA, token);
      expect(authorizationOf(proxy)).toBe(`Bearer ${token.trim()}`);
    }
  });

  test("reads escapes in the audience as what they stand for", async () => {
    const proxy = await startFilter();
    proxy.advance(20);
    const payload = `{"exp":${future},"aud":"https:\\/\\/kb\\u002dabc123-uc.a.run.app"}`;
    const token = `eyJ9.${Buffer.from(payload).toString("base64url")}.eA`;
    proxy.calls[0]?.respond(FROM_METADATA, token);
    expect(authorizationOf(proxy)).toBe(`Bearer ${token}`);
  });

  test("never logs a token", async () => {
    const proxy = await startFilter(pluginConfig(), { logLevel: "trace" });
    proxy.advance(20);
    const secret = idToken({ aud: "https://other.example" });
    proxy.calls[0]?.respond(FROM_METADATA, secret);
    proxy.advance(3000);
    answerAll(proxy);
    proxy.advance(3000);
    expect(JSON.stringify(proxy.logs)).not.toContain(secret.slice(0, 20));
    expect(JSON.stringify(proxy.metrics())).not.toContain(secret.slice(0, 20));
  });
});

describe("after a failure", () => {
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
  test("begins 240 s before the token expires, spread over 10 s", async () => {
    const starts = new Set<number>();
    for (let i = 0; i < 5; i++) {
      const proxy = await startFilter();
      proxy.advance(20 + i * 1.37);
      answerAll(proxy);
      const [first] = callTimes(proxy, HOUR_MS, answerAll, 1000);
      const at = first ?? 0;
      expect(at).toBeGreaterThanOrEqual(3_359_000);
      expect(at).toBeLessThanOrEqual(3_372_000);
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
    callTimes(proxy, HOUR_MS - 600_000 - 250_000, answerAll, 1000);
    const leftSec: number[] = [];
    callTimes(proxy, 15_000, (p) => {
      leftSec.push(expires - p.clock.wallMs / 1000);
      answerAll(p);
    });
    expect(leftSec).toHaveLength(1);
    expect(leftSec[0]).toBeGreaterThan(228);
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
    expect(first).toBeGreaterThanOrEqual(3_358_000);
    expect(first).toBeLessThanOrEqual(3_372_000);
  });

  test("far ahead: the token is dropped within a tick", async () => {
    const proxy = await warmFilter();
    const token = authorizationOf(proxy);
    proxy.stepWall(HOUR_MS);
    proxy.advance(1000);
    expect(authorizationOf(proxy)).not.toBe(token);
  });
});

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

/** What workers tell each other: see filter/token-record.ts. */
function record(fields: { leaseUntilMs?: number; retryAtMs?: number; failures?: number; token?: string }): Buffer {
  const head = Buffer.alloc(24);
  head.write("HGT1", "latin1");
  head.writeBigInt64LE(BigInt(Math.round(fields.leaseUntilMs ?? 0)), 4);
  head.writeBigInt64LE(BigInt(Math.round(fields.retryAtMs ?? 0)), 12);
  head.writeInt32LE(fields.failures ?? 0, 20);
  return Buffer.concat([head, Buffer.from(fields.token ?? "")]);
}

function expiryOf(authorization: string | undefined): number {
  const payload = authorization?.split(".")[1] ?? "";
  return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { exp: number }).exp;
}

describe("a record that another plugin wrote", () => {
  const record = (token: string): Buffer => {
    const header = Buffer.alloc(24);
    header.writeInt32LE(0x31544748, 0);
    return Buffer.concat([header, Buffer.from(token)]);
  };

  test("with a token that lasts longer than any of Google's is not believed", async () => {
    const proxy = await startFilter();
    proxy.sharedData.set(KEY, record(idToken({ exp: NOW_SEC + 3 * 3600, iss: "evil" })));
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

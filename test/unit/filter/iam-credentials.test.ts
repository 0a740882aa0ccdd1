import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { HttpCall } from "../../../shim/emulator/http-call.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import {
  answerAll,
  audienceOf,
  expectNoTrap,
  FROM_METADATA,
  idToken,
  KB,
  KB_AUDIENCE,
  METADATA,
  NOW_SEC,
  oneRoute,
  pluginConfig,
  refusal,
  send,
  startFilter,
} from "../../support/filter.js";
import { authorizationOf, callTimes, identity, record } from "../../support/token.js";

const ACCOUNT = "invoker@my-project.iam.gserviceaccount.com";
const IAM = "outbound|443||iamcredentials.googleapis.com";
const AUTHORITY = "iamcredentials.googleapis.com";
const ACCESS_TOKEN = "ya29.c.b0AXv0zTN-_~+/=";
const OK: Headers = [[":status", "200"]];
const BOTH = { clusters: { [METADATA]: "ok", [IAM]: "ok" } } as const;

function impersonating(fields: Partial<PluginConfig> = {}, serviceAccount = ACCOUNT): PluginConfig {
  const impersonate = { serviceAccount, cluster: IAM, authority: AUTHORITY };
  return pluginConfig({ ...identity({ mode: "impersonate", impersonate }), ...fields });
}

function start(config = impersonating(), workers = 1): Promise<Emulator> {
  return startFilter(config, { workers, ...BOTH });
}

function accessToken(fields: object = {}): string {
  return JSON.stringify({ access_token: ACCESS_TOKEN, expires_in: 3599, token_type: "Bearer", ...fields });
}

const isForAccess = (call: HttpCall): boolean => call.header(":path")?.endsWith("/default/token") === true;

/** Answers whatever is asked: access tokens, and ID tokens for an hour. Gives the ID tokens. */
function answerBoth(proxy: Emulator): string[] {
  return proxy.calls.flatMap((call) => {
    if (isForAccess(call)) {
      call.respond(FROM_METADATA, accessToken());
      return [];
    }
    const token = idToken({ aud: audienceOf(call), exp: Math.floor(proxy.clock.wallMs / 1000) + 3600 });
    call.respond(OK, JSON.stringify({ token }));
    return [token];
  });
}

/** How the fetch ended by the metric, and what a waiting request got. */
async function outcome(answer: (proxy: Emulator) => void): Promise<{ result: string[]; refused: string | undefined }> {
  const proxy = await start();
  const stream = send(proxy, KB);
  proxy.advance(20);
  answer(proxy);
  proxy.advance(20);
  expectNoTrap(proxy);
  const fetches = /^hopgate_token_fetches\.hop=\.=ingress;\.;result=\.=(.*);\.;$/;
  const result = Object.keys(proxy.metrics().counters).flatMap((name) => fetches.exec(name)?.[1] ?? []);
  const cluster = result[0] === "bad_token" || result[0]?.startsWith("iam_") ? IAM : METADATA;
  expect(proxy.logs.map(({ message }) => message.replace(/: status \d+\)$/, ")"))).toEqual([
    `hopgate: no ID token for audience ${KB_AUDIENCE}: ${result[0]} (${cluster})`,
  ]);
  return { result, refused: refusal(stream) };
}

describe("impersonation", () => {
  test("asks the metadata server for an access token, and with it the IAM Credentials API for the ID token", async () => {
    const proxy = await start();
    const stream = send(proxy, KB);
    proxy.advance(10);
    expect(proxy.calls.map(({ request }) => request)).toEqual([
      {
        cluster: METADATA,
        headers: [
          [":method", "GET"],
          [":path", "/computeMetadata/v1/instance/service-accounts/default/token"],
          [":authority", "metadata.google.internal"],
          ["metadata-flavor", "Google"],
        ],
        body: Buffer.alloc(0),
        trailers: [],
        timeoutMs: 2000,
      },
    ]);
    proxy.advance(600);
    proxy.calls[0]?.respond(FROM_METADATA, accessToken());
    const body = `{"audience":"${KB_AUDIENCE}","includeEmail":true}`;
    expect(proxy.calls.map(({ request }) => request)).toEqual([
      {
        cluster: IAM,
        headers: [
          [":method", "POST"],
          [":path", `/v1/projects/-/serviceAccounts/${ACCOUNT}:generateIdToken`],
          [":authority", AUTHORITY],
          ["content-type", "application/json"],
          ["authorization", `Bearer ${ACCESS_TOKEN}`],
          ["content-length", String(body.length)],
        ],
        body: Buffer.from(body),
        trailers: [],
        timeoutMs: 1400, // what is left of the fetch's time
      },
    ]);
    const [token] = answerBoth(proxy);
    expect(authorizationOf(proxy)).toBe(`Bearer ${token}`);
    proxy.advance(20);
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
    expectNoTrap(proxy);
  });

  test("is one fetch for the process, and the access token stays in the VM that fetched", async () => {
    const proxy = await start(impersonating(), 4);
    const streams = [0, 1, 2, 3].map((worker) => send(proxy, KB, [], worker));
    proxy.advance(40);
    expect(proxy.calls).toHaveLength(1);
    answerBoth(proxy);
    expect(proxy.calls).toHaveLength(1);
    const [token] = answerBoth(proxy);
    proxy.advance(20);
    expect(streams.map((stream) => stream.requestHeader("authorization"))).toEqual(
      streams.map(() => `Bearer ${token}`),
    );
    const shared = proxy.sharedData.keys();
    expect(shared).toEqual([`hopgate/1/impersonate/${ACCOUNT}/${IAM}/${METADATA}/${KB_AUDIENCE}`]);
    for (const key of shared) expect(proxy.sharedData.get(key)?.value.toString("latin1")).not.toContain("ya29");
  });

  test("fetches one access token for all audiences, and keeps it for its life", async () => {
    const names = ["a", "b", "c"];
    const proxy = await start(
      impersonating({
        routes: names.map((name) => ({ hosts: [`${name}.x`], to: [{ backend: name, weight: 100 }], open: "a test" })),
        backends: Object.fromEntries(names.map((name) => [name, { token: { audience: `https://${name}` } }])),
      }),
    );
    proxy.advance(20);
    expect(proxy.calls.map(isForAccess)).toEqual([true]);
    answerBoth(proxy);
    expect(proxy.calls.map(audienceOf)).toEqual(["https://a", "https://b", "https://c"]);
    // They fail, and are asked for again without another access token.
    for (const call of proxy.calls) call.respond([[":status", "503"]]);
    const paths: boolean[] = [];
    callTimes(proxy, 2500, (p) => {
      paths.push(...p.calls.map(isForAccess));
      for (const call of p.calls) call.respond([[":status", "503"]]);
    });
    expect(paths.length).toBeGreaterThanOrEqual(3);
    expect(paths).not.toContain(true);
    // An hour later it has expired.
    callTimes(proxy, 3_600_000, answerBoth, 1000);
    proxy.advance(20);
    expect(send(proxy, "a.x").requestHeader("authorization")).toMatch(/^Bearer ey/);
  });

  test("of more audiences than calls can be under way fails none", async () => {
    const names = Array.from({ length: 600 }, (_, i) => `a${i}`);
    const proxy = await start(
      impersonating({
        routes: names.map((name) => ({ hosts: [`${name}.x`], to: [{ backend: name, weight: 100 }], open: "a test" })),
        backends: Object.fromEntries(names.map((name) => [name, { token: { audience: `https://${name}` } }])),
      }),
    );
    const last = send(proxy, "a599.x");
    for (let i = 0; i < 6; i++) {
      proxy.advance(20);
      answerBoth(proxy);
    }
    proxy.advance(20);
    expect(last.requestHeader("authorization")).toMatch(/^Bearer /);
    expect(Object.keys(proxy.metrics().counters).filter((name) => name.includes("token_fetches"))).toEqual([
      "hopgate_token_fetches.hop=.=ingress;.;result=.=ok;.;",
    ]);
  });

  test("never reads the tokens of another account, nor those of the proxy's own", async () => {
    const foreign = [
      `hopgate/1/metadata/${METADATA}/${KB_AUDIENCE}`,
      `hopgate/1/impersonate/other@my-project.iam.gserviceaccount.com/${IAM}/${METADATA}/${KB_AUDIENCE}`,
    ];
    const proxy = await start();
    for (const key of foreign) proxy.sharedData.set(key, record({ token: idToken() }));
    expect(send(proxy, KB).paused).toBe(true);
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(1);
  });

  test("escapes the audience as JSON wants it", async () => {
    const audience = 'https://a"b\\c\u0001\u001f/ü';
    const proxy = await start({ ...oneRoute({ token: { audience } }), identity: impersonating().identity ?? {} });
    proxy.advance(20);
    answerBoth(proxy);
    expect(proxy.calls.map(audienceOf)).toEqual([audience]);
    answerBoth(proxy);
    expect(authorizationOf(proxy)).toMatch(/^Bearer ey/);
  });

  test("gets another access token after the API has refused the one before", async () => {
    const proxy = await start();
    proxy.advance(20);
    answerBoth(proxy);
    proxy.calls[0]?.respond([[":status", "401"]]);
    const asked: boolean[] = [];
    callTimes(proxy, 2500, (p) => {
      asked.push(...p.calls.map(isForAccess));
      answerBoth(p);
    });
    expect(asked.slice(0, 2)).toEqual([true, false]);
    expect(authorizationOf(proxy)).toMatch(/^Bearer ey/);
  });

  test("gives its lease back when its root goes between the two calls", async () => {
    const proxy = await start(impersonating(), 1);
    proxy.advance(20);
    answerBoth(proxy);
    expect(proxy.configure({ config: JSON.stringify(impersonating({ hop: "renamed" })) })).toEqual({ accepted: true });
    expect(proxy.calls).toHaveLength(0);
    proxy.advance(20);
    expect(proxy.calls).toHaveLength(1);
    expectNoTrap(proxy);
  });

  test("takes no longer than the time-out in all, and so its lease is never outlived", async () => {
    const proxy = await start();
    proxy.advance(10);
    const begun = proxy.clock.monotonicMs;
    proxy.advance(1999);
    proxy.calls[0]?.respond(FROM_METADATA, accessToken());
    expect(proxy.calls[0]?.request.timeoutMs).toBe(1);
    proxy.advance(1);
    expect(proxy.calls).toHaveLength(0);
    expect(proxy.clock.monotonicMs - begun).toBe(2000);
  });
});

describe("an access token", () => {
  const rows: [string, Headers, string, string][] = [
    [
      "a 500",
      [
        [":status", "500"],
        ["metadata-flavor", "Google"],
      ],
      accessToken(),
      "bad_status",
    ],
    [
      "a 404",
      [
        [":status", "404"],
        ["metadata-flavor", "Google"],
      ],
      "",
      "access_token_refused",
    ],
    ["no Metadata-Flavor", OK, accessToken(), "not_a_metadata_server"],
    ["HTML", FROM_METADATA, "<html>", "bad_access_token"],
    ["nothing", FROM_METADATA, "", "bad_access_token"],
    ["no object", FROM_METADATA, `["${ACCESS_TOKEN}"]`, "bad_access_token"],
    ["no token", FROM_METADATA, accessToken({ access_token: undefined }), "bad_access_token"],
    ["an empty token", FROM_METADATA, accessToken({ access_token: "" }), "bad_access_token"],
    ["a number for a token", FROM_METADATA, accessToken({ access_token: 5 }), "bad_access_token"],
    ["a token that would add a header", FROM_METADATA, accessToken({ access_token: "a\r\nx: y" }), "bad_access_token"],
    ["a token with a space", FROM_METADATA, accessToken({ access_token: "a b" }), "bad_access_token"],
    ["a token with NUL", FROM_METADATA, accessToken({ access_token: "a\0" }), "bad_access_token"],
    ["a token beyond ASCII", FROM_METADATA, accessToken({ access_token: "aü" }), "bad_access_token"],
    ["4 KiB and a byte", FROM_METADATA, accessToken({ access_token: "a".repeat(4097) }), "bad_access_token"],
    ["1 MB", FROM_METADATA, accessToken({ access_token: "a".repeat(1 << 20) }), "bad_access_token"],
    ["no life", FROM_METADATA, accessToken({ expires_in: undefined }), "bad_access_token"],
    ["a life that is over", FROM_METADATA, accessToken({ expires_in: 0 }), "bad_access_token"],
    ["a life below 0", FROM_METADATA, accessToken({ expires_in: -1 }), "bad_access_token"],
    ["a life as text", FROM_METADATA, accessToken({ expires_in: "3599" }), "bad_access_token"],
    ["two tokens", FROM_METADATA, '{"access_token":"a","access_token":"b","expires_in":3599}', "bad_access_token"],
  ];

  test.each(rows)("is refused that is %s", async (_what, headers, body, result) => {
    expect(await outcome((proxy) => proxy.calls[0]?.respond(headers, body))).toEqual({
      result: [result],
      refused: "token_unavailable",
    });
  });

  test.each([
    ["a reset", (proxy: Emulator) => proxy.calls[0]?.fail(), "reset"],
    ["a refused connection", (proxy: Emulator) => proxy.calls[0]?.refuse(), "bad_status"],
    ["a time-out", (proxy: Emulator) => proxy.advance(2000), "bad_status"],
  ] as const)("that does not come for %s is no token", async (_what, answer, result) => {
    expect(await outcome(answer)).toEqual({ result: [result], refused: "token_unavailable" });
  });

  test.each(["missing", "no-endpoints"] as const)("cannot be had where the metadata cluster is: %s", async (state) => {
    const clusters = { [IAM]: "ok", ...(state === "missing" ? {} : { [METADATA]: state }) } as const;
    const proxy = await startFilter(impersonating(), { clusters });
    const stream = send(proxy, KB);
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    const result = state === "missing" ? "cluster_missing" : "no_endpoint";
    expect(proxy.metrics().counters).toHaveProperty([`hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`]);
  });

  test("that lasts longer than an hour is kept for an hour", async () => {
    const proxy = await start();
    proxy.advance(20);
    proxy.calls[0]?.respond(FROM_METADATA, accessToken({ expires_in: 1e9 }));
    proxy.calls[0]?.respond([[":status", "503"]]);
    const asked: number[] = [];
    callTimes(
      proxy,
      7_300_000,
      (p) => {
        if (p.calls.some(isForAccess)) asked.push(p.clock.monotonicMs);
        for (const call of p.calls)
          call.respond(isForAccess(call) ? FROM_METADATA : [[":status", "503"]], accessToken());
      },
      1000,
    );
    // In two hours: the other VM's first, and the second of at least one of them.
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asked.length).toBeLessThanOrEqual(4);
  });
});

describe("what the IAM Credentials API may answer", () => {
  const answer = (headers: Headers, body: string) => (proxy: Emulator) => {
    proxy.calls[0]?.respond(FROM_METADATA, accessToken());
    proxy.calls[0]?.respond(headers, body);
  };
  const token = (value: unknown): string => JSON.stringify({ token: value });
  const rows: [string, Headers, string, string][] = [
    ["a 400", [[":status", "400"]], token(idToken()), "iam_bad_status"],
    ["a 401", [[":status", "401"]], token(idToken()), "iam_unauthenticated"],
    ["a 403", [[":status", "403"]], token(idToken()), "iam_permission_denied"],
    ["a 404", [[":status", "404"]], token(idToken()), "iam_account_unknown"],
    ["a 429", [[":status", "429"]], token(idToken()), "iam_bad_status"],
    ["a 500", [[":status", "500"]], token(idToken()), "iam_bad_status"],
    ["no status", [], token(idToken()), "iam_reset"],
    ["a status of four digits", [[":status", "2000"]], token(idToken()), "iam_reset"],
    ["HTML", OK, "<html>", "bad_token"],
    ["nothing", OK, "", "bad_token"],
    ["the token alone", OK, idToken(), "bad_token"],
    ["no token", OK, "{}", "bad_token"],
    ["a token that is no text", OK, token(5), "bad_token"],
    ["two tokens", OK, `{"token":"${idToken()}","token":"${idToken()}"}`, "bad_token"],
    ["a token for another audience", OK, token(idToken({ aud: "https://other.example" })), "bad_token"],
    ["an expired token", OK, token(idToken({ exp: NOW_SEC - 1 })), "bad_token"],
    ["a token with a line break", OK, token(`${idToken()}\r\nx: y`), "bad_token"],
    ["17 KB", OK, token(idToken({}, 12_500)), "bad_token"],
    ["1 MB", OK, token("e".repeat(1 << 20)), "bad_token"],
  ];

  test.each(rows)("refuses %s", async (_what, headers, body, result) => {
    expect(await outcome(answer(headers, body))).toEqual({ result: [result], refused: "token_unavailable" });
  });

  test.each([
    ["missing", "iam_cluster_missing"],
    ["no-endpoints", "iam_no_endpoint"],
  ] as const)("refuses where its cluster is %s", async (state, result) => {
    const clusters = { [METADATA]: "ok", ...(state === "missing" ? {} : { [IAM]: state }) } as const;
    const proxy = await startFilter(impersonating(), { clusters });
    const stream = send(proxy, KB);
    proxy.advance(20);
    answerBoth(proxy);
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(proxy.metrics().counters).toHaveProperty([`hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`]);
  });

  test("takes a token with white space around it in the JSON, and fields that are new", async () => {
    const proxy = await start();
    proxy.advance(20);
    answerBoth(proxy);
    const sent = idToken();
    proxy.calls[0]?.respond(OK, `{\n  "token" : "${sent}",\n "kind": ["x"]\n}\n`);
    expect(authorizationOf(proxy)).toBe(`Bearer ${sent}`);
  });

  test("an unknown account is remembered for 30 s", async () => {
    const proxy = await start(impersonating(), 2);
    proxy.advance(20);
    answer([[":status", "404"]], "")(proxy);
    const times = callTimes(proxy, 32_000, answerAll);
    expect(times[0]).toBeGreaterThanOrEqual(30_000);
  });

  test("no token of any kind is logged, shared or counted", async () => {
    const proxy = await startFilter(impersonating(), { logLevel: "trace", ...BOTH });
    proxy.advance(20);
    proxy.calls[0]?.respond(FROM_METADATA, accessToken());
    proxy.calls[0]?.respond([[":status", "403"]], ACCESS_TOKEN);
    callTimes(proxy, 5000, answerBoth);
    const said = JSON.stringify([proxy.logs, proxy.metrics()]);
    expect(said).toContain("iam_permission_denied");
    expect(said).not.toContain(ACCESS_TOKEN.slice(0, 8));
    expect(said).not.toContain("eyJ");
  });
});

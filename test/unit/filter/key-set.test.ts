import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Stream } from "../../../shim/emulator/stream.js";
import {
  answerKeys,
  base64url,
  callerToken,
  ecKey,
  google,
  googleClaims,
  JWKS,
  keyCalls,
  keySet,
  rsaKey,
  startValidator,
  type TokenOptions,
  validating,
  validator,
} from "../../support/caller-token.js";
import {
  answered,
  expectNoTrap,
  KB,
  LLM,
  METADATA,
  NOW_SEC,
  pluginConfig,
  reconfigure,
  refusal,
  send,
} from "../../support/filter.js";

const RECORD = `hopgate/1/keys/0/${JWKS}/www.googleapis.com/oauth2/v3/certs`;
const next = rsaKey("google-2");

/** Validates callers of a service in the cluster, so that no ID token of ours is in the way. */
function checking(fields: Parameters<typeof validator>[0] = {}, jwks: Record<string, number> = {}) {
  const { jwks: source, ...rest } = validator(fields);
  return pluginConfig({
    routes: [{ hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "google" }],
    backends: { llm: {} },
    validators: { google: { ...rest, jwks: { ...source, ...jwks } } },
  });
}

/** Every worker and the main thread have the set. */
async function warm(config = checking(), options: Parameters<typeof startValidator>[1] = {}): Promise<Emulator> {
  const proxy = await startValidator(config, options);
  answerKeys(proxy);
  proxy.advance(1000);
  return proxy;
}

function call(proxy: Emulator, options: TokenOptions = {}, worker = 0): Stream {
  return send(proxy, LLM, [["authorization", `Bearer ${callerToken(options)}`]], worker);
}

/** Lets time pass, and answers every fetch as it comes. Gives how many there were. */
function serve(proxy: Emulator, ms: number, set: string | Buffer = keySet(google), status = "200"): number {
  let fetches = 0;
  for (let past = 0; past < ms; past += 20) {
    proxy.advance(20);
    fetches += answerKeys(proxy, set, status);
  }
  return fetches;
}

function outcome(stream: Stream): string {
  if (stream.localReply !== undefined) return refusal(stream) ?? "answered";
  return stream.paused ? "held" : "ok";
}

/** A token that lives as long as a test needs, for the proxy's present. */
function lasting(proxy: Emulator): TokenOptions {
  const now = Math.floor(proxy.clock.wallMs / 1000);
  return { claims: googleClaims({ iat: now, exp: now + 3600 }) };
}

describe("the fetch of a key set", () => {
  test("comes before the first request, from each worker, with a time-out", async () => {
    const proxy = await startValidator(checking(), { workers: 2 });
    expect(keyCalls(proxy).map(({ vm }) => vm)).toEqual(["main", "worker 0", "worker 1"]);
    const [call] = keyCalls(proxy);
    expect(call?.request).toMatchObject({ cluster: JWKS, timeoutMs: 2000 });
    expect(call?.request.headers).toEqual([
      [":method", "GET"],
      [":path", "/oauth2/v3/certs"],
      [":authority", "www.googleapis.com"],
    ]);
  });

  test("holds requests that come before it ends, and lets them go together", async () => {
    const proxy = await startValidator(checking());
    const streams = [call(proxy), call(proxy), call(proxy, { claims: googleClaims({ aud: "https://other.example" }) })];
    expect(streams.map(outcome)).toEqual(["held", "held", "held"]);
    answerKeys(proxy);
    expect(streams.map(outcome)).toEqual(["ok", "ok", "token_audience"]);
    const [first] = streams;
    if (first !== undefined) answered(first);
    expect(proxy.metrics().histograms["hopgate_wait_us.hop=.=ingress;.;backend=.=llm;.;"]).toBeDefined();
    expectNoTrap(proxy);
  });

  test("of the route's validator: the hop's is asked again then, and has let in one caller", async () => {
    const { validators } = checking();
    const source = { ...validator().jwks, path: "/others" };
    const both = { ...validators, other: { ...validator(), jwks: source } };
    const proxy = await startValidator({ ...checking(), validate: "other", validators: both });
    const answer = (path: string): void => {
      for (const one of keyCalls(proxy))
        if (one.header(":path") === path) one.respond([[":status", "200"]], keySet(google));
    };
    answer("/others");
    const stream = call(proxy);
    expect(outcome(stream)).toBe("held");
    answer("/oauth2/v3/certs");
    expect(outcome(stream)).toBe("ok");
    const { counters } = proxy.metrics();
    expect(counters["hopgate_validations.hop=.=ingress;.;result=.=ok;.;"]).toBe(2);
  });

  test("does not hold who needs no keys to be refused", async () => {
    const proxy = await startValidator(checking());
    expect(outcome(send(proxy, LLM))).toBe("token_missing");
    expect(outcome(call(proxy, { header: { alg: "none" } }))).toBe("token_algorithm");
  });

  test.each([
    ["has failed", (proxy: Emulator) => answerKeys(proxy, "", "500")],
    ["was refused", (proxy: Emulator) => keyCalls(proxy).forEach((each) => each.refuse())],
    ["was reset", (proxy: Emulator) => keyCalls(proxy).forEach((each) => each.fail())],
    ["took too long", (proxy: Emulator) => proxy.advance(2000)],
  ])("that %s answers those who wait with 503 and when to come again", async (_name, fail) => {
    const proxy = await startValidator(checking());
    const stream = call(proxy);
    fail(proxy);
    expect(outcome(stream)).toBe("keys_unavailable");
    expect(stream.localReply?.status).toBe(503);
    expect(Number(stream.responseHeader("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(outcome(call(proxy))).toBe("keys_unavailable"); // at once: the retry is not due
    serve(proxy, 2000);
    expect(outcome(call(proxy))).toBe("ok");
  });

  test.each(["missing", "no-endpoints"] as const)("without a cluster to ask (%s) is tried again", async (state) => {
    const clusters = { [METADATA]: "ok", ...(state === "missing" ? {} : { [JWKS]: state }) } as const;
    const proxy = await startValidator(checking(), { clusters: clusters });
    expect(outcome(call(proxy))).toBe("keys_unavailable");
    proxy.clusters.set(JWKS, "ok");
    serve(proxy, 2000);
    expect(outcome(call(proxy))).toBe("ok");
  });

  test("is tried again within 1 s, then less and less often, at least every 8 s (and a tick)", async () => {
    const proxy = await startValidator(checking());
    const times: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 20) {
      if (keyCalls(proxy).some(({ vm }) => vm === "worker 0")) times.push(proxy.clock.monotonicMs);
      answerKeys(proxy, "", "500");
      proxy.advance(20);
    }
    const pauses = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    const longest = [1, 2, 4, ...Array.from({ length: pauses.length - 3 }, () => 8)];
    expect(pauses.length).toBeGreaterThanOrEqual(8);
    pauses.forEach((pause, i) => {
      expect(pause).toBeGreaterThanOrEqual((longest[i] ?? 0) * 500);
      expect(pause).toBeLessThanOrEqual((longest[i] ?? 0) * 1000 + 1000);
    });
  });

  test("is refused for what is no usable set, and the last good one stays", async () => {
    const proxy = await warm(checking({}, { cacheSec: 10 }));
    const key = google.jwk;
    const bad: [string, string | Buffer][] = [
      ["no JSON", "<html>"],
      ["nothing", ""],
      ["a list", "[]"],
      ["no keys", "{}"],
      ["keys of the wrong type", '{"keys":{}}'],
      ["a name twice", '{"keys":[],"keys":[]}'],
      ["too deep", `{"keys":${"[".repeat(5000)}${"]".repeat(5000)}}`],
      ["2 MB", keySet(google, { kid: "x".repeat(2 << 20) })],
      ["10,000 keys", JSON.stringify({ keys: Array.from({ length: 10_000 }, (_, i) => ({ ...key, kid: `k${i}` })) })],
      ["129 keys", JSON.stringify({ keys: Array.from({ length: 129 }, (_, i) => ({ kid: `k${i}` })) })],
      ["only keys of no use", keySet(ecKey("google-1"), { ...key, use: "enc" })],
    ];
    for (const [, set] of bad) {
      expect(serve(proxy, 20_000, set)).toBeGreaterThan(0);
      expect(outcome(call(proxy, lasting(proxy)))).toBe("ok");
    }
    expectNoTrap(proxy);
  });

  test("that brings an empty set takes every key away", async () => {
    const proxy = await warm(checking({}, { cacheSec: 10 }));
    proxy.advance(10_000);
    answerKeys(proxy, keySet());
    proxy.advance(1000);
    expect(outcome(call(proxy, lasting(proxy)))).toBe("token_key_unknown");
  });
});

describe("a key", () => {
  const weak = rsaKey("google-1", 1024);
  const { n, ...withoutModulus } = google.jwk;
  test.each<[string, Record<string, unknown>]>([
    ["for encryption", { ...google.jwk, use: "enc" }],
    ["with other operations", { ...google.jwk, key_ops: ["encrypt"] }],
    ["with operations that are no list", { ...google.jwk, key_ops: "verify" }],
    ["for another algorithm", { ...google.jwk, alg: "RS512" }],
    ["of another type", { ...google.jwk, kty: "oct" }],
    ["of 1024 bits", weak.jwk],
    ["without a modulus", withoutModulus],
    ["with a modulus that is no text", { ...google.jwk, n: 5 }],
    ["with padding", { ...google.jwk, n: `${String(n)}==` }],
    ["with an exponent of 1", { ...google.jwk, e: "AQ" }],
    ["with an even exponent", { ...google.jwk, e: "AQAC" }],
    ["without a name", { ...google.jwk, kid: undefined }],
    ["with a name that is no text", { ...google.jwk, kid: 1 }],
    ["that is no object", [] as unknown as Record<string, unknown>],
  ])("%s is passed over, and the good one beside it stands", async (_name, jwk) => {
    const proxy = await startValidator(checking());
    answerKeys(proxy, keySet(jwk, next));
    expect(outcome(call(proxy, { key: next }))).toBe("ok");
    expect(["token_key_unknown", "held"]).toContain(outcome(call(proxy)));
    expectNoTrap(proxy);
  });

  test("is used whatever its operations, use and algorithm leave unsaid, with zeros in front of its modulus", async () => {
    const { kid, kty, e } = google.jwk;
    const padded = Buffer.concat([Buffer.alloc(1), Buffer.from(String(google.jwk["n"]), "base64url")]).toString(
      "base64url",
    );
    const proxy = await startValidator(checking());
    answerKeys(proxy, keySet({ kid, kty, e, n: padded, key_ops: ["verify"] }));
    expect(outcome(call(proxy))).toBe("ok");
  });

  test("whose name occurs twice is served by neither, whatever the other one is", async () => {
    for (const twin of [rsaKey("google-1").jwk, { kid: "google-1" }, google.jwk]) {
      const proxy = await startValidator(checking());
      answerKeys(proxy, keySet(twin, google, next));
      expect(outcome(call(proxy, { key: next }))).toBe("ok");
      proxy.advance(31_000);
      const stream = call(proxy, { ...lasting(proxy) });
      proxy.advance(20);
      answerKeys(proxy, keySet(twin, google, next));
      expect(outcome(stream)).toBe("token_key_unknown");
    }
  });
});

describe("a set grows old", () => {
  test("is refreshed up to a tenth before its time, once in each worker", async () => {
    const proxy = await warm();
    proxy.advance(538_000);
    expect(keyCalls(proxy)).toHaveLength(0);
    expect(serve(proxy, 64_000)).toBe(2);
    proxy.advance(10_000);
    expect(keyCalls(proxy)).toHaveLength(0);
  });

  test("serves on while the issuer is down, until cacheSec and maxStaleSec are over, known tokens included", async () => {
    const proxy = await warm(checking({ maxLifetimeSec: 7200 }, { cacheSec: 100, maxStaleSec: 200 }));
    const token = { claims: googleClaims({ exp: NOW_SEC + 7200 }) };
    serve(proxy, 298_000, "", "503");
    expect(outcome(call(proxy, token))).toBe("ok");
    serve(proxy, 3_000, "", "503");
    expect(outcome(call(proxy, token))).toBe("keys_unavailable");
    serve(proxy, 10_000);
    expect(outcome(call(proxy, token))).toBe("ok");
  });

  test("forgets the tokens of a key that has left it", async () => {
    const proxy = await warm();
    const token = { claims: googleClaims() };
    expect(outcome(call(proxy, token))).toBe("ok");
    proxy.advance(538_000);
    serve(proxy, 64_000, keySet(next));
    expect(outcome(call(proxy, token))).toBe("token_key_unknown");
  });

  test("forgets them also where another key has taken the name, and keeps those of keys that stay", async () => {
    const proxy = await startValidator(checking());
    answerKeys(proxy, keySet(google, next));
    const claims = googleClaims();
    expect(outcome(call(proxy, { claims }))).toBe("ok");
    expect(outcome(call(proxy, { key: next, claims }))).toBe("ok");
    proxy.advance(538_000);
    serve(proxy, 64_000, keySet(rsaKey("google-1"), next));
    const checks = proxy.vm(0).hostCalls["env.proxy_call_foreign_function"];
    expect(outcome(call(proxy, { key: next, claims }))).toBe("ok");
    expect(proxy.vm(0).hostCalls["env.proxy_call_foreign_function"]).toBe(checks);
    expect(outcome(call(proxy, { claims }))).toBe("token_signature_invalid");
  });
});

describe("an unknown key", () => {
  test("is looked for once more, and its token waits for that", async () => {
    const proxy = await warm();
    proxy.advance(31_000);
    const stream = call(proxy, { key: next });
    expect(outcome(stream)).toBe("held");
    proxy.advance(20);
    expect(keyCalls(proxy).map(({ vm }) => vm)).toEqual(["worker 0"]);
    answerKeys(proxy, keySet(google, next));
    expect(outcome(stream)).toBe("ok");
    expect(outcome(call(proxy))).toBe("ok");
  });

  test("does not make anybody ask more often than the cooldown, however many names are made up", async () => {
    const proxy = await warm(checking(), { workers: 8 });
    let fetches = 0;
    const held: Stream[] = [];
    const [, payload = "", signature = ""] = callerToken().split(".");
    for (let i = 0; i < 3000; i++) {
      // The key is looked for before the signature is looked at.
      const head = base64url(JSON.stringify({ alg: "RS256", kid: `made-up-${i}` }));
      held.push(send(proxy, LLM, [["authorization", `Bearer ${head}.${payload}.${signature}`]], i % 8));
      if (i % 10 === 0) proxy.advance(20);
      fetches += answerKeys(proxy);
    }
    proxy.advance(3000);
    // 6 s in all: at most one fetch for the process.
    expect(fetches).toBeLessThanOrEqual(1);
    expect(new Set(held.map(outcome))).toEqual(new Set(["token_key_unknown"]));
    expectNoTrap(proxy);
  });

  test("costs one fetch for each cooldown that passes, also where the set is empty", async () => {
    for (const set of [keySet(google), keySet()]) {
      const proxy = await startValidator(checking());
      answerKeys(proxy, set);
      let fetches = 0;
      for (let s = 0; s < 300; s++) {
        call(proxy, { header: { kid: `made-up-${s}` } });
        proxy.advance(1000);
        fetches += answerKeys(proxy, set);
      }
      expect(fetches).toBeGreaterThanOrEqual(9);
      expect(fetches).toBeLessThanOrEqual(10);
    }
  });

  test("that one worker has found is fetched by the others when they need it, each once", async () => {
    const proxy = await warm(checking(), { workers: 3 });
    proxy.advance(31_000);
    const rotated = keySet(next);
    const streams = [0, 1, 2].map((worker) => call(proxy, { key: next }, worker));
    let fetches = 0;
    for (let ms = 0; ms < 200; ms += 20) {
      proxy.advance(20);
      fetches += answerKeys(proxy, rotated);
    }
    expect(streams.map(outcome)).toEqual(["ok", "ok", "ok"]);
    expect(fetches).toBe(3);
  });

  test("whose fetching worker dies is asked for by another one in the end", async () => {
    const proxy = await warm(checking(), { workers: 2 });
    proxy.advance(31_000);
    const started = Buffer.alloc(28);
    started.writeUInt32LE(0x314b4748, 0);
    started.writeBigInt64LE(BigInt(Math.round(proxy.clock.monotonicMs)), 4);
    proxy.sharedData.set(RECORD, started);
    const stream = call(proxy, { key: next });
    proxy.advance(2900);
    expect(outcome(stream)).toBe("held");
    proxy.advance(200);
    answerKeys(proxy, keySet(next));
    expect(outcome(stream)).toBe("ok");
  });

  test("that is asked for in vain while the issuer is down leaves the set in use", async () => {
    const proxy = await warm();
    proxy.advance(31_000);
    const stream = call(proxy, { key: next });
    proxy.advance(20);
    answerKeys(proxy, "", "500");
    expect(outcome(stream)).toBe("token_key_unknown");
    expect(outcome(call(proxy))).toBe("ok");
  });

  test("does not hold a request for ever, nor one more than may wait", async () => {
    const config = { ...checking(), identity: { maxWaiters: 2 } };
    const proxy = await warm(config);
    proxy.advance(31_000);
    const streams = [1, 2, 3].map(() => call(proxy, { key: next }));
    expect(streams.map(outcome)).toEqual(["held", "held", "token_key_unknown"]);
    streams[0]?.abort();
    expect(outcome(call(proxy, { key: next }))).toBe("held");
    proxy.advance(5000);
    expect(outcome(streams[1] as Stream)).toBe("token_key_unknown");
    expectNoTrap(proxy);
  });
});

test("requests that wait for keys take no place of those that wait for a token", async () => {
  const both = validating({}, { identity: { cluster: METADATA, maxWaiters: 2 } });
  const proxy = await startValidator({
    ...both,
    routes: [...both.routes, { hosts: [LLM], to: [{ backend: "kb", weight: 100 }], open: "a test" }],
  });
  const forKeys = [1, 2, 3].map(() => send(proxy, KB, [["authorization", `Bearer ${callerToken()}`]]));
  expect(forKeys.map(outcome)).toEqual(["held", "held", "keys_unavailable"]);
  const forTokens = [1, 2, 3].map(() => send(proxy, LLM));
  expect(forTokens.map(outcome)).toEqual(["held", "held", "token_unavailable"]);
  forKeys[0]?.abort();
  expect(outcome(send(proxy, LLM))).toBe("token_unavailable");
  forTokens[0]?.abort();
  expect(outcome(send(proxy, LLM))).toBe("held");
  expectNoTrap(proxy);
});

describe("what other plugins write about our keys", () => {
  const ahead = BigInt(2) ** BigInt(62);
  function recordOf(started: bigint, finished: bigint, digest = BigInt(1)): Buffer {
    const value = Buffer.alloc(28);
    value.writeUInt32LE(0x314b4748, 0);
    value.writeBigInt64LE(started, 4);
    value.writeBigInt64LE(finished, 12);
    value.writeBigInt64LE(digest, 20);
    return value;
  }

  test.each<[string, Buffer]>([
    ["nothing", Buffer.alloc(0)],
    ["a key set of theirs", Buffer.from(keySet(next))],
    ["more than can be read", Buffer.alloc(100_000, 1)],
    ["a start in the far future", recordOf(ahead, 0n)],
    ["an end in the far future", recordOf(0n, ahead)],
    ["times below 0", recordOf(-ahead, -ahead)],
    ["the least of all numbers", recordOf(-(2n ** 63n), -(2n ** 63n), -(2n ** 63n))],
    ["the largest of all numbers", recordOf(2n ** 63n - 1n, 2n ** 63n - 1n, 2n ** 63n - 1n)],
  ])("(%s) lets nobody in, and keeps no key from being found", async (_name, value) => {
    const proxy = await warm();
    proxy.advance(31_000);
    proxy.sharedData.set(RECORD, value);
    const stream = call(proxy, { key: next });
    for (let s = 0; s < 4; s++) {
      proxy.advance(1000);
      proxy.sharedData.set(RECORD, value);
      expect(outcome(stream)).not.toBe("ok");
      if (answerKeys(proxy, keySet(google, next)) > 0) break;
    }
    expect(outcome(stream)).toBe("ok");
    expectNoTrap(proxy);
  });
});

describe("a new configuration", () => {
  test("begins with the keys that the one before has, and serves while the issuer is down", async () => {
    const proxy = await warm();
    expect(reconfigure(proxy, checking({ clockSkewSec: 30 }))).toEqual({ accepted: true });
    expect(outcome(call(proxy))).toBe("ok");
    proxy.advance(100_000);
    expect(keyCalls(proxy)).toHaveLength(0);
    expect(outcome(call(proxy))).toBe("ok");
  });

  test("has the set no longer than the one before would have had it", async () => {
    const times = { cacheSec: 100, maxStaleSec: 100 };
    const proxy = await warm(checking({}, times));
    proxy.advance(150_000);
    answerKeys(proxy, "", "500");
    reconfigure(proxy, checking({ clockSkewSec: 30 }, times));
    expect(outcome(call(proxy))).toBe("ok");
    proxy.advance(50_000);
    answerKeys(proxy, "", "500");
    expect(outcome(call(proxy))).toBe("keys_unavailable");
  });

  test("that comes before the first set begins without one, also on a machine that has just started", async () => {
    const proxy = await startValidator(checking());
    answerKeys(proxy, "", "500");
    reconfigure(proxy, checking({ clockSkewSec: 30 }));
    const stream = call(proxy);
    expect(outcome(stream)).toBe("held");
    proxy.advance(20);
    answerKeys(proxy, "", "500");
    expect(outcome(stream)).toBe("keys_unavailable");
  });

  test("with another source begins without", async () => {
    const proxy = await warm();
    const { google: before } = checking().validators ?? {};
    if (before === undefined) throw new Error("no validator");
    const jwks = { ...before.jwks, path: "/other" };
    reconfigure(proxy, { ...checking(), validators: { google: { ...before, jwks } } });
    expect(outcome(call(proxy))).toBe("held");
  });

  test("a thousand times leaves memory as it was", async () => {
    const proxy = await warm();
    const pages: number[] = [];
    for (let i = 0; i < 1000; i++) {
      reconfigure(proxy, checking({ clockSkewSec: i % 50 }));
      proxy.advance(20);
      answerKeys(proxy);
      if (i >= 200) pages.push(proxy.vm(0).memoryPages());
    }
    expect(new Set(pages).size).toBe(1);
  });
});

test("a validator on a hop without tokens of its own works as well", async () => {
  const proxy = await startValidator(validating({}, { backends: { kb: {} } }));
  answerKeys(proxy);
  expect(outcome(send(proxy, "kb.example.internal", [["authorization", `Bearer ${callerToken()}`]]))).toBe("ok");
});

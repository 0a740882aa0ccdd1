import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { PluginValidator } from "../../shim/render/plugin-config.js";
import {
  base64url,
  ecKey,
  google,
  keySet,
  rsaKey,
  type SigningKey,
  validating,
  validator,
} from "../support/caller-token.js";
import type { KeyAnswer } from "../support/key-server.js";
import { eventually } from "../support/local-mesh.js";
import { scrape } from "../support/metrics.js";
import { headerOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { ask, liveToken, outcome, startValidating, type ValidatingHop } from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

const second = rsaKey("google-2");
const third = rsaKey("google-3");
const short = rsaKey("short", 1024);
const long = rsaKey("long", 4096);
const curve = ecKey("curve");
const unnamed = { ...second.jwk, kid: undefined };

/** Each has a validator of its own, with a path of its own for its keys, and a host of its own. */
interface Case {
  readonly answer: KeyAnswer;
  /** Whose token comes. */
  readonly key?: SigningKey;
  readonly jwks?: Partial<PluginValidator["jwks"]>;
}

const nested = `${"[".repeat(5000)}${"]".repeat(5000)}`;

/** No set is ever had: what a request is told, and what the metric counts. */
const COLD: Record<string, Case & { readonly result: string }> = {
  reset: { answer: { fault: "reset" }, result: "bad_status" },
  hanging: { answer: { fault: "hang" }, jwks: { timeoutMs: 300 }, result: "bad_status" },
  broken: { answer: { status: 500 }, result: "bad_status" },
  "not-found": { answer: { status: 404 }, result: "bad_status" },
  redirected: { answer: { status: 302 }, result: "bad_status" },
  absent: { answer: "", jwks: { cluster: "nowhere" }, result: "cluster_missing" },
  empty: { answer: "", result: "bad_key_set" },
  html: { answer: "<html>Sign in</html>", result: "bad_key_set" },
  cut: { answer: keySet(google).slice(0, -3), result: "bad_key_set" },
  list: { answer: JSON.stringify([google.jwk]), result: "bad_key_set" },
  keyless: { answer: "{}", result: "bad_key_set" },
  "two-megabytes": { answer: keySet(google).replace("}", `,"x":"${"x".repeat(2 << 20)}"}`), result: "too_large" },
  "ten-thousand": { answer: `{"keys":[${"{},".repeat(9_999)}${JSON.stringify(google.jwk)}]}`, result: "bad_key_set" },
  "129-keys": { answer: `{"keys":[${"{},".repeat(128)}${JSON.stringify(google.jwk)}]}`, result: "bad_key_set" },
  deep: { answer: keySet(google).replace("}", `,"x":${nested}}`), result: "bad_key_set" },
  doubled: { answer: `{"keys":[],${keySet(google).slice(1)}`, result: "bad_key_set" },
  "short-alone": { answer: keySet(short), key: short, result: "bad_key_set" },
};

/** There is a set. */
const WARM: Record<string, Case & { readonly expected: string }> = {
  good: { answer: keySet(google, second), key: second, expected: "200" },
  "one-bad-first": { answer: keySet({ kty: "RSA", kid: "bad", n: "!", e: "AQAB" }, google), expected: "200" },
  "no-objects": { answer: `{"keys":[1,null,"x",[],${JSON.stringify(google.jwk)}]}`, expected: "200" },
  "128-keys": { answer: `{"keys":[${"{},".repeat(127)}${JSON.stringify(google.jwk)}]}`, expected: "200" },
  "unnamed-among": { answer: keySet(unnamed, google), expected: "200" },
  unnamed: { answer: keySet(unnamed, google), key: second, expected: "401 token_key_unknown" },
  "short-among": { answer: keySet(short, google), key: short, expected: "401 token_key_unknown" },
  long: { answer: keySet(long), key: long, expected: "200" },
  bare: { answer: keySet({ ...google.jwk, use: undefined, alg: undefined }), expected: "200" },
  encrypts: { answer: keySet({ ...google.jwk, use: "enc" }, second), expected: "401 token_key_unknown" },
  "other-algorithm": { answer: keySet({ ...google.jwk, alg: "PS256" }, second), expected: "401 token_key_unknown" },
  "only-signs": { answer: keySet({ ...google.jwk, key_ops: ["sign"] }, second), expected: "401 token_key_unknown" },
  "of-a-curve": { answer: keySet(curve, google), key: curve, expected: "401 token_algorithm" },
  "exponent-of-one": { answer: keySet({ ...google.jwk, e: "AQ" }, second), expected: "401 token_key_unknown" },
  "twice-the-same": { answer: keySet(google, google, second), expected: "401 token_key_unknown" },
  "twice-another": { answer: keySet(google, { ...second.jwk, kid: google.id }), expected: "503 keys_unavailable" },
  "twice-of-two-kinds": {
    answer: keySet(google, { ...curve.jwk, kid: google.id }, second),
    expected: "401 token_key_unknown",
  },
  "beside-a-double": { answer: keySet(google, google, second), key: second, expected: "200" },
  none: { answer: keySet(), expected: "401 token_key_unknown" },
};

const hostOf = (name: string): string => `${name}.example.internal`;

/** One route, validator and path for each case. */
function configOf(cases: Record<string, Case>): ReturnType<typeof validating> {
  const names = Object.keys(cases);
  return validating(
    {},
    {
      routes: names.map((name) => ({
        hosts: [hostOf(name)],
        to: [{ backend: "llm", weight: 100 }],
        validate: name,
      })),
      validators: Object.fromEntries(
        names.map((name) => [
          name,
          validator({ jwks: { ...validator().jwks, path: `/${name}`, ...cases[name]?.jwks } }),
        ]),
      ),
    },
  );
}

function answersOf(hop: ValidatingHop, cases: Record<string, Case>): void {
  for (const [name, { answer }] of Object.entries(cases)) hop.keys.answers.set(`/${name}`, answer);
}

describe.skipIf(envoyPath === "")("key sets on a real Envoy", () => {
  const LIVING: Record<string, Case> = {
    rotating: { answer: keySet(google), jwks: { cooldownSec: 1 } },
    aging: { answer: keySet(google), jwks: { cacheSec: 1, maxStaleSec: 2 } },
  };
  const cases: Record<string, Case> = { ...COLD, ...WARM, ...LIVING };
  let hop: ValidatingHop;

  beforeAll(async () => {
    hop = await startValidating({ envoyPath, config: configOf(cases), concurrency: 1, keySet: { fault: "hang" } });
    answersOf(hop, cases);
    hop.keys.release();
  });

  afterAll(() => hop.close());

  it.each(Object.keys(COLD))("%s: a request is told to come again, and nobody is let in", async (name) => {
    const answer = await ask(hop, { host: hostOf(name), token: liveToken({ key: COLD[name]?.key ?? google }) });
    expect([answer.status, answer.code]).toEqual([503, "keys_unavailable"]);
    expect(Number(headerOf(answer, "retry-after"))).toBeGreaterThanOrEqual(1);
    expect(Number(headerOf(answer, "retry-after"))).toBeLessThanOrEqual(8);
    expect(headerOf(answer, "www-authenticate")).toBeUndefined();
    // What needs no key is said all the same.
    expect(await outcome(hop, { host: hostOf(name) })).toBe("401 token_missing");
  });

  it("failed fetches are counted by what went wrong", async () => {
    const wanted = new Set(["ok", ...Object.values(COLD).map(({ result }) => result)]);
    const fetches = (await scrape(hop.envoy.admin)).filter(({ name }) => name === "hopgate_key_fetches");
    expect(new Set(fetches.map(({ labels }) => labels["result"]))).toEqual(wanted);
  });

  it.each(Object.entries(WARM))("%s", async (name, { key = google, expected }) => {
    expect(await outcome(hop, { host: hostOf(name), token: liveToken({ key }) })).toBe(expected);
  });

  it("a new key lets its token in after one fetch, and a key that has gone lets nobody in any more", async () => {
    const host = hostOf("rotating");
    const old = liveToken();
    expect(await outcome(hop, { host, token: old })).toBe("200");
    expect(hop.keys.requests("/rotating")).toBe(2); // the worker and the main thread
    await cooledDown(hop, host);
    hop.keys.answers.set("/rotating", keySet(google, second));
    const before = hop.keys.requests("/rotating");
    const fresh = Array.from({ length: 20 }, () => liveToken({ key: second }));
    expect(await Promise.all(fresh.map((token) => outcome(hop, { host, token })))).toEqual(fresh.map(() => "200"));
    expect(hop.keys.requests("/rotating")).toBe(before + 1);
    expect(await outcome(hop, { host, token: old })).toBe("200");
    // The old one leaves: seen at the next fetch, whoever causes it.
    hop.keys.answers.set("/rotating", keySet(second, third));
    await eventually(async () =>
      (await outcome(hop, { host, token: liveToken({ key: third }) })) === "200" ? true : undefined,
    );
    expect(await outcome(hop, { host, token: old })).toBe("401 token_key_unknown");
    expect(await outcome(hop, { host, token: liveToken() })).toBe("401 token_key_unknown");
    expect(await outcome(hop, { host, token: fresh[0] ?? "" })).toBe("200");
  });

  it("an issuer that is down is done without until the set is too old, then all wait for it", async () => {
    const host = hostOf("aging");
    const token = liveToken();
    expect(await outcome(hop, { host, token })).toBe("200");
    hop.keys.answers.set("/aging", { status: 503 });
    const asked = hop.keys.requests("/aging");
    const since = performance.now();
    const last = await eventually(async () => {
      const said = await outcome(hop, { host, token });
      if (said !== "200") return { said, afterMs: performance.now() - since };
      return undefined;
    });
    expect(last.said).toBe("503 keys_unavailable");
    // cacheSec + maxStaleSec after the last fetch, which was at most cacheSec before.
    expect(last.afterMs).toBeGreaterThan(1_500);
    expect(hop.keys.requests("/aging")).toBeGreaterThan(asked);
    hop.keys.answers.set("/aging", keySet(google));
    await eventually(async () => ((await outcome(hop, { host, token })) === "200" ? true : undefined));
  });

  it("nothing of all this was a trap", async () => {
    expect(await readFile(hop.envoy.logPath, "utf8")).not.toMatch(/Function: proxy_on_|wasm trap|unreachable/);
  });
});

/** Waits until the key set of `host` may be fetched again for a key that is not in it, without causing that. */
async function cooledDown(hop: ValidatingHop, host: string): Promise<void> {
  const token = forgedToken("nobody");
  const before = hop.keys.requests("/rotating");
  await eventually(async () => {
    expect(await outcome(hop, { host, token })).toBe("401 token_key_unknown");
    return hop.keys.requests("/rotating") > before ? true : undefined;
  });
  const since = performance.now();
  await eventually(() => (performance.now() - since > 1_050 ? true : undefined));
}

const [, payload = "", signature = ""] = liveToken().split(".");

/** A token of a key that does not exist. */
function forgedToken(kid: string): string {
  return `${base64url(JSON.stringify({ alg: "RS256", kid }))}.${payload}.${signature}`;
}

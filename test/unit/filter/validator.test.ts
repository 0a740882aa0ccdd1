import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { Stream } from "../../../shim/emulator/stream.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import {
  answerKeys,
  base64url,
  callerToken,
  EDGE_AUDIENCE,
  google,
  googleClaims,
  iap,
  keyCalls,
  keySet,
  ORCHESTRATOR,
  rsaKey,
  signed,
  startValidator,
  type TokenOptions,
  validating,
  validator,
} from "../../support/caller-token.js";
import {
  answerAll,
  answered,
  expectNoTrap,
  KB,
  KB_AUDIENCE,
  LLM,
  NOW_SEC,
  reconfigure,
  refusal,
  send,
} from "../../support/filter.js";

const stranger = rsaKey("google-1");

/** A proxy with the keys and the ID token of its backend. */
async function ready(config: PluginConfig = validating(), set = keySet(google)): Promise<Emulator> {
  const proxy = await startValidator(config);
  answerKeys(proxy, set);
  answerAll(proxy);
  proxy.advance(20);
  return proxy;
}

function call(proxy: Emulator, token: string, more: Headers = []): Stream {
  return send(proxy, KB, [["authorization", `Bearer ${token}`], ...more]);
}

/** "ok", or the code of the refusal. */
function outcome(stream: Stream): string {
  if (stream.paused && stream.localReply === undefined) return "held";
  return refusal(stream) ?? (stream.requestHeader("x-hopgate-backend") === undefined ? "unrouted" : "ok");
}

describe("a valid token", () => {
  test("lets its caller in, names it to the service, and goes on beside the token of the hop", async () => {
    const proxy = await ready();
    const token = callerToken();
    const stream = call(proxy, token);
    expect(outcome(stream)).toBe("ok");
    expect(stream.requestHeader("x-hopgate-caller")).toBe(ORCHESTRATOR);
    expect(stream.requestHeader("authorization")).toBe(`Bearer ${token}`);
    expect(stream.requestHeader("x-serverless-authorization")).toMatch(/^Bearer ey/);
    expect(answered(stream).status).toBe(200);
    expectNoTrap(proxy);
  });

  test("is taken away where it is not to be forwarded, and the hop's own stands in its place", async () => {
    const proxy = await ready(validating({ forward: false }));
    const stream = call(proxy, callerToken());
    expect(outcome(stream)).toBe("ok");
    expect(stream.requestHeader("x-serverless-authorization")).toBeUndefined();
    expect(audience(stream.requestHeader("authorization"))).toBe(KB_AUDIENCE);
  });

  test("is looked for where Cloud Run looks: x-serverless-authorization wins", async () => {
    const proxy = await ready();
    const stream = send(proxy, KB, [
      ["authorization", "Basic c2VydmljZTpvd24="],
      ["x-serverless-authorization", `bearer ${callerToken()}`],
    ]);
    expect(outcome(stream)).toBe("ok");
    expect(stream.requestHeader("authorization")).toBe("Basic c2VydmljZTpvd24=");
    expect(audience(stream.requestHeader("x-serverless-authorization"))).toBe(KB_AUDIENCE);
    const other = send(proxy, KB, [
      ["authorization", `Bearer ${callerToken()}`],
      ["x-serverless-authorization", "Bearer nonsense"],
    ]);
    expect(outcome(other)).toBe("token_malformed");
  });

  test("is verified once and known again, and every use looks at its expiry", async () => {
    const proxy = await ready();
    const token = callerToken({ claims: googleClaims({ exp: NOW_SEC + 600 }) });
    const checks = (): number => proxy.vm(0).hostCalls["env.proxy_call_foreign_function"] ?? 0;
    const before = checks();
    for (let i = 0; i < 5; i++) expect(outcome(call(proxy, token))).toBe("ok");
    expect(checks() - before).toBe(1);
    proxy.advance(659_000); // 60 s of skew are allowed
    answerKeys(proxy);
    answerAll(proxy);
    expect(outcome(call(proxy, token))).toBe("ok");
    proxy.advance(1_000);
    expect(outcome(call(proxy, token))).toBe("token_expired");
  });

  test("is not prolonged by a wall clock that steps back, and ends early by one that steps ahead", async () => {
    const proxy = await ready();
    const token = callerToken({ claims: googleClaims({ exp: NOW_SEC + 300 }) });
    expect(outcome(call(proxy, token))).toBe("ok");
    proxy.stepWall(600_000);
    expect(outcome(call(proxy, token))).toBe("token_expired");
    proxy.stepWall(-1_200_000);
    expect(outcome(call(proxy, token))).toBe("ok");
    proxy.advance(361_000); // by the wall it is five minutes before the token was even made
    answerAll(proxy);
    expect(outcome(call(proxy, token))).toBe("token_expired");
  });

  test("is another one when a single byte differs", async () => {
    const proxy = await ready();
    const token = callerToken();
    expect(outcome(call(proxy, token))).toBe("ok");
    const at = token.indexOf(".") + 5;
    const changed = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
    expect(outcome(call(proxy, changed))).toBe("token_signature_invalid");
  });

  test("of one validator is none of another's, seen before or not", async () => {
    const config = validating(
      {},
      {
        routes: [
          { hosts: [KB], to: [{ backend: "kb", weight: 100 }], validate: "google" },
          { hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "other" },
        ],
        validators: { google: validator(), other: validator({ audiences: ["https://other.example"] }) },
      },
    );
    const proxy = await ready(config);
    const token = callerToken();
    expect(outcome(call(proxy, token))).toBe("ok");
    expect(outcome(send(proxy, LLM, [["authorization", `Bearer ${token}`]]))).toBe("token_audience");
  });
});

function audience(header: string | undefined): unknown {
  const payload = header?.split(".")[1] ?? "";
  return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { aud: unknown }).aud;
}

describe("a request without a valid token is refused", () => {
  const times = (claims: Record<string, unknown>): TokenOptions => ({ claims: googleClaims(claims) });
  const without = (name: string): Record<string, unknown> => ({ ...googleClaims(), [name]: undefined });
  const text = (claims: string): TokenOptions => ({ claims });
  const many = (count: number): Record<string, number> =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, i]));
  const json = (extra: string): TokenOptions => text(JSON.stringify(googleClaims()).replace(/\}$/, `,${extra}}`));

  test.each<[string, TokenOptions, string]>([
    ["signed with none", { header: { alg: "none" } }, "token_algorithm"],
    ["signed with HS256", { header: { alg: "HS256" } }, "token_algorithm"],
    ["of an algorithm in lower case", { header: { alg: "rs256" } }, "token_algorithm"],
    ["of an algorithm that is no text", { header: { alg: 256 } }, "token_algorithm"],
    ["of no algorithm", { header: { alg: undefined } }, "token_algorithm"],
    ["of the other algorithm", { key: iap }, "token_algorithm"],
    ["of an unknown key", { header: { kid: "nobody" } }, "token_key_unknown"],
    ["of no key", { header: { kid: undefined } }, "token_key_unknown"],
    ["of an empty key", { header: { kid: "" } }, "token_key_unknown"],
    ["of a key that is no text", { header: { kid: 1 } }, "token_malformed"],
    ["of a key with a name of 257 bytes", { header: { kid: "k".repeat(257) } }, "token_malformed"],
    ["of a stranger's key with our name", { key: stranger }, "token_signature_invalid"],
    ["with a key of its own", { key: stranger, header: { jwk: stranger.jwk } }, "token_signature_invalid"],
    [
      "with the address of a key",
      { key: stranger, header: { jku: "https://evil.example/keys" } },
      "token_signature_invalid",
    ],
    ["with a certificate", { key: stranger, header: { x5u: "https://evil.example/c" } }, "token_signature_invalid"],
    ["with something critical", { header: { crit: ["exp"], exp: 1 } }, "token_malformed"],
    ["with a name twice in its header", { header: '{"alg":"none","alg":"RS256","kid":"google-1"}' }, "token_malformed"],
    ["with a header that is a list", { header: '["RS256"]' }, "token_malformed"],
    ["with a header of more names than it takes time to tell apart", { header: many(32) }, "token_malformed"],
    ["with a header of as many names as there may be", { header: { ...many(28), alg: "none" } }, "token_algorithm"],
    ["with a header that is no JSON", { header: "RS256" }, "token_malformed"],
    ["expired", times({ exp: NOW_SEC - 60 }), "token_expired"],
    ["with an expiry in text", times({ exp: String(NOW_SEC + 3600) }), "token_claims"],
    ["with an expiry that is no number", json('"exp":NaN'), "token_claims"],
    ["with an expiry of 1e400", text('{"exp":1e400}'), "token_claims"],
    ["with an expiry of 2^64", text('{"exp":18446744073709551616}'), "token_claims"],
    ["with an expiry below 0", times({ exp: -1 }), "token_claims"],
    ["with a fraction in its expiry", text(`{"exp":${NOW_SEC + 3600}.5}`), "token_claims"],
    ["without an expiry", { claims: without("exp") }, "token_claims"],
    ["with an expiry of null", times({ exp: null }), "token_claims"],
    ["valid from later on", times({ nbf: NOW_SEC + 61 }), "token_not_yet_valid"],
    ["issued later on", times({ iat: NOW_SEC + 61 }), "token_not_yet_valid"],
    ["issued at no time", times({ iat: "now" }), "token_claims"],
    ["that lives too long", times({ exp: NOW_SEC + 3661 }), "token_claims"],
    [
      "that lives too long and says not since when",
      text(JSON.stringify({ ...without("iat"), exp: NOW_SEC + 3661 })),
      "token_claims",
    ],
    ["of another issuer", times({ iss: "https://accounts.google.com/" }), "token_issuer"],
    ["of Google's other spelling, which is not listed", times({ iss: "accounts.google.com" }), "token_issuer"],
    ["of no issuer", { claims: without("iss") }, "token_issuer"],
    ["of an issuer in a list", times({ iss: ["https://accounts.google.com"] }), "token_issuer"],
    ["for another audience", times({ aud: "https://other.example" }), "token_audience"],
    ["for a prefix of the audience", times({ aud: EDGE_AUDIENCE.slice(0, -1) }), "token_audience"],
    ["for an audience that ours is a prefix of", times({ aud: `${EDGE_AUDIENCE}.evil.example` }), "token_audience"],
    ["for the audience with a slash", times({ aud: `${EDGE_AUDIENCE}/` }), "token_audience"],
    ["for a list of audiences", times({ aud: [EDGE_AUDIENCE] }), "token_audience"],
    ["for no audience", { claims: without("aud") }, "token_audience"],
    ["with a name twice in its claims", json(`"aud":"https://other.example"`), "token_claims"],
    ["with claims that are a list", text("[]"), "token_claims"],
    ["with claims that are no JSON", text("claims"), "token_claims"],
    [
      "with claims that are no UTF-8",
      { claims: Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]) },
      "token_claims",
    ],
    ["of another caller", times({ email: "mallory@my-project.iam.gserviceaccount.com" }), "caller_not_allowed"],
    ["of a caller in another case", times({ email: ORCHESTRATOR.toUpperCase() }), "caller_not_allowed"],
    ["of a caller without an address", { claims: without("email") }, "caller_not_allowed"],
    ["of a caller whose address is not verified", times({ email_verified: false }), "caller_not_allowed"],
    ["of a caller whose address is verified in text", times({ email_verified: "true" }), "caller_not_allowed"],
    ["of a caller of whose address nothing is said", { claims: without("email_verified") }, "caller_not_allowed"],
    ["of callers in a list", times({ email: [ORCHESTRATOR] }), "token_claims"],
  ])("%s", async (_name, options, code) => {
    const proxy = await ready();
    const stream = call(proxy, callerToken(options));
    if (code === "token_key_unknown" && stream.paused) {
      proxy.advance(20);
      answerKeys(proxy);
    }
    expect(outcome(stream)).toBe(code);
    expect(stream.requestHeader("x-hopgate-caller")).toBeUndefined();
    expectNoTrap(proxy);
  });

  const [head = "", payload = "", signature = ""] = callerToken().split(".");

  test.each<[string, string, string]>([
    ["with two parts", `${head}.${payload}`, "token_malformed"],
    ["with four parts", `${head}.${payload}.${signature}.${signature}`, "token_malformed"],
    ["with an empty signature", `${head}.${payload}.`, "token_malformed"],
    ["with an empty payload", `${head}..${signature}`, "token_malformed"],
    ["with an empty header", `.${payload}.${signature}`, "token_malformed"],
    ["of nothing but dots", "..", "token_malformed"],
    ["with padding", `${head}.${payload}.${signature}==`, "token_malformed"],
    ["in the alphabet of base64", `${head}.${payload}.+/+/`, "token_malformed"],
    ["with bits left over", `${head}.${payload}.${signature.slice(0, -1)}B`, "token_malformed"],
    ["with a space within", `${head}.${payload} .${signature}`, "token_malformed"],
    ["with a comma", `${callerToken()},Bearer ${callerToken()}`, "token_malformed"],
    ["of 8193 bytes", `${head}.${"A".repeat(8192 - head.length - 5)}.AAAA`, "token_malformed"],
    [
      "whose signature Cloud Run has removed",
      `${head}.${payload}.SIGNATURE_REMOVED_BY_GOOGLE`,
      "token_signature_removed",
    ],
    [
      "whose signature is another's",
      `${head}.${payload}.${signed(google, "else").toString("base64url")}`,
      "token_signature_invalid",
    ],
    ["whose signature is short", `${head}.${payload}.${base64url("short")}`, "token_signature_invalid"],
  ])("%s", async (_name, token, code) => {
    const proxy = await ready();
    expect(outcome(call(proxy, token))).toBe(code);
    expectNoTrap(proxy);
  });

  test.each<[string, Headers, string]>([
    ["without a header", [], "token_missing"],
    ["with an empty header", [["authorization", ""]], "token_missing"],
    ["with another scheme", [["authorization", "Basic dXNlcjpwYXNz"]], "token_missing"],
    ["with the scheme alone", [["authorization", "Bearer"]], "token_missing"],
    ["with the scheme and a space", [["authorization", "Bearer "]], "token_missing"],
    ["with a token and no scheme", [["authorization", callerToken()]], "token_missing"],
    [
      "with a header twice",
      [
        ["x-serverless-authorization", `Bearer ${callerToken()}`],
        ["x-serverless-authorization", `Bearer ${callerToken()}`],
      ],
      "token_malformed",
    ],
  ])("%s", async (_name, headers, code) => {
    const proxy = await ready();
    expect(outcome(send(proxy, KB, headers))).toBe(code);
  });

  test("and told so as RFC 6750 has it, in the metric, and in the filter state for the access log", async () => {
    const proxy = await ready();
    const missing = send(proxy, KB);
    expect(missing.localReply?.status).toBe(401);
    expect(missing.responseHeader("www-authenticate")).toBe("Bearer");
    const expired = call(proxy, callerToken({ claims: googleClaims({ exp: NOW_SEC - 100 }) }));
    expect(expired.responseHeader("www-authenticate")).toBe('Bearer error="invalid_token"');
    expect(expired.filterState.get("wasm.hopgate_error")).toBe("token_expired");
    const other = call(proxy, callerToken({ claims: googleClaims({ email: "m@evil.example" }) }));
    expect(other.localReply?.status).toBe(403);
    expect(other.responseHeader("www-authenticate")).toBeUndefined();
    call(proxy, callerToken());
    const { counters } = proxy.metrics();
    const count = (result: string): number | undefined =>
      counters[`hopgate_validations.hop=.=ingress;.;result=.=${result};.;`];
    expect(["token_missing", "token_expired", "caller_not_allowed", "ok"].map(count)).toEqual([1, 1, 1, 1]);
  });

  test("with the grpc-status of the refusal, for gRPC", async () => {
    const proxy = await ready();
    const grpc: Headers = [["content-type", "application/grpc"]];
    expect(send(proxy, KB, grpc).localReply?.grpcStatus).toBe(16);
    const stream = call(proxy, callerToken({ claims: googleClaims({ email: "m@evil.example" }) }), grpc);
    expect(stream.localReply?.grpcStatus).toBe(7);
  });
});

describe("callers", () => {
  test("are all let in by *, and named where their address is verified", async () => {
    const proxy = await ready(validating({ emails: ["*"] }));
    const named = call(proxy, callerToken({ claims: googleClaims({ email: "anybody@example.com" }) }));
    expect(named.requestHeader("x-hopgate-caller")).toBe("anybody@example.com");
    const unverified = call(proxy, callerToken({ claims: googleClaims({ email_verified: false }) }));
    expect(outcome(unverified)).toBe("ok");
    expect(unverified.requestHeader("x-hopgate-caller")).toBeUndefined();
  });

  test("whose address would not stay within a header are refused, also by *", async () => {
    const proxy = await ready(validating({ emails: ["*"] }));
    for (const email of ["a\r\nx-evil: 1", "ü@example.com", "", "a b@example.com", "a".repeat(321)])
      expect(outcome(call(proxy, callerToken({ claims: googleClaims({ email }) })))).toBe("caller_not_allowed");
  });

  test("cannot name themselves, on an edge or behind one, checked or not", async () => {
    for (const edge of [true, false]) {
      const proxy = await ready(validating({}, { edge }));
      const forged: Headers = [["x-hopgate-caller", "root@example.com"]];
      expect(call(proxy, callerToken(), forged).requestHeader("x-hopgate-caller")).toBe(ORCHESTRATOR);
      expect(send(proxy, "else.example", forged).requestHeader("x-hopgate-caller")).toBeUndefined();
    }
  });
});

describe("assertions of Identity-Aware Proxy", () => {
  const config = validating({
    issuers: ["https://cloud.google.com/iap"],
    audiences: ["/projects/1/global/backendServices/2"],
    algorithm: "ES256",
    header: "X-Goog-IAP-JWT-Assertion",
  });
  const claims = {
    iss: "https://cloud.google.com/iap",
    aud: "/projects/1/global/backendServices/2",
    email: ORCHESTRATOR,
    iat: NOW_SEC - 30,
    exp: NOW_SEC + 570,
  };

  test("come bare in their own header, signed with ES256", async () => {
    const proxy = await ready(config, keySet(iap));
    for (let i = 0; i < 40; i++) {
      // Signatures of all lengths that DER makes of them.
      const token = callerToken({ key: iap, claims: { ...claims, nonce: i } });
      const stream = send(proxy, KB, [["x-goog-iap-jwt-assertion", token]]);
      expect(outcome(stream)).toBe("ok");
      expect(stream.requestHeader("x-hopgate-caller")).toBe(ORCHESTRATOR);
    }
    expect(outcome(send(proxy, KB, [["authorization", `Bearer ${callerToken({ key: iap, claims })}`]]))).toBe(
      "token_missing",
    );
  });

  test("are refused where the address is said not to be verified, or the signature does not hold", async () => {
    const proxy = await ready(config, keySet(iap));
    const assertion = (token: string): string => outcome(send(proxy, KB, [["x-goog-iap-jwt-assertion", token]]));
    const unverified = callerToken({ key: iap, claims: { ...claims, email_verified: false } });
    expect(assertion(unverified)).toBe("caller_not_allowed");
    const [head = "", payload = ""] = callerToken({ key: iap, claims }).split(".");
    const zeros = Buffer.alloc(64).toString("base64url");
    for (const signature of [zeros, base64url("short"), Buffer.alloc(65, 1).toString("base64url")])
      expect(assertion(`${head}.${payload}.${signature}`)).toBe("token_signature_invalid");
  });
});

describe("the validator of a hop", () => {
  test("checks every request, matched by a route or not", async () => {
    const proxy = await ready(validating({}, { validate: "google" }));
    expect(outcome(send(proxy, "else.example"))).toBe("token_missing");
    expect(outcome(send(proxy, "else.example", [["authorization", `Bearer ${callerToken()}`]]))).toBe("unrouted");
  });

  test("stands beside that of the route: both must be satisfied, each with its own token", async () => {
    const header = "x-goog-iap-jwt-assertion";
    const assertionRules = { algorithm: "ES256" as const, header, emails: ["*"] };
    const config = validating(
      {},
      { validate: "iap", validators: { google: validator(), iap: validator(assertionRules) } },
    );
    const proxy = await ready(config, keySet(google, iap));
    const both: Headers = [[header, callerToken({ key: iap })]];
    expect(outcome(call(proxy, callerToken(), both))).toBe("ok");
    expect(outcome(call(proxy, callerToken()))).toBe("token_missing");
    expect(outcome(send(proxy, KB, both))).toBe("token_missing");
  });

  test("and that of the route may have to wait for keys one after the other", async () => {
    const header = "x-goog-iap-jwt-assertion";
    const jwks = { ...validator().jwks, path: "/iap" };
    const rules = { algorithm: "ES256" as const, header, emails: ["*"], jwks };
    const config = validating({}, { validate: "iap", validators: { google: validator(), iap: validator(rules) } });
    for (const first of ["/iap", "/oauth2/v3/certs"]) {
      const proxy = await startValidator(config);
      const answer = (path: string): void => {
        const calls = keyCalls(proxy).filter((call) => call.header(":path") === path);
        for (const call of calls) call.respond([[":status", "200"]], keySet(path === "/iap" ? iap : google));
      };
      const stream = call(proxy, callerToken(), [[header, callerToken({ key: iap })]]);
      answer(first);
      proxy.advance(20);
      expect(outcome(stream)).toBe("held");
      answer(first === "/iap" ? "/oauth2/v3/certs" : "/iap");
      answerAll(proxy);
      proxy.advance(20);
      expect(outcome(stream)).toBe("ok");
      // Each is waited for once, and no longer than its fetch takes.
      const cold = await startValidator(config);
      const lost = call(cold, callerToken(), [[header, callerToken({ key: iap })]]);
      cold.advance(2_000);
      expect(outcome(lost)).toBe("keys_unavailable");
    }
  });

  test("does not look at bypassed paths", async () => {
    const proxy = await ready(validating({}, { validate: "google", bypass: [{ path: "/v1/answers" }] }));
    expect(refusal(send(proxy, KB))).toBeUndefined();
  });

  test("at a waypoint goes by the service that Envoy chose, whatever the Host says", async () => {
    const config = validating(
      {},
      {
        edge: false,
        match: "service",
        routes: [
          { hosts: ["kb.demo.svc.cluster.local"], to: [{ backend: "kb", weight: 100 }], validate: "google" },
          { hosts: ["llm.demo.svc.cluster.local"], to: [{ backend: "llm", weight: 100 }] },
        ],
      },
    );
    const proxy = await ready(config);
    const at = (service: string, host: string): string => {
      const headers: Headers = [
        [":method", "GET"],
        [":path", "/"],
        [":authority", host],
      ];
      const properties = { "xds.filter_chain_name": `inbound-vip|80|http|${service}` };
      return outcome(proxy.stream({ headers, properties }));
    };
    expect(at("kb.demo.svc.cluster.local", "llm.demo.svc.cluster.local")).toBe("token_missing");
    expect(at("llm.demo.svc.cluster.local", "kb.demo.svc.cluster.local")).toBe("ok");
  });
});

describe("a configuration that validates", () => {
  test("is refused by a proxy that cannot check signatures", async () => {
    const proxy = await startValidator();
    proxy.signatures = "accept"; // one that takes every signature
    expect(reconfigure(proxy, validating({ clockSkewSec: 1 }))).toEqual({ accepted: false });
    expect(proxy.logs.at(-1)?.message).toContain("validators.google: this proxy cannot check signatures");
  });

  test("has no effect before its first tick", async () => {
    const proxy = await startValidator();
    const fetched = keyCalls(proxy).length;
    proxy.configure({ name: "other", config: JSON.stringify(validating({ clockSkewSec: 1 })) });
    expect(keyCalls(proxy)).toHaveLength(fetched);
  });
});

import { constants, createHmac, createPublicKey, sign } from "node:crypto";
import { once } from "node:events";
import http2, { type IncomingHttpHeaders } from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import {
  base64url,
  ecKey,
  EDGE_AUDIENCE,
  google,
  JWKS,
  keySet,
  ORCHESTRATOR,
  rsaKey,
  signed,
  type TokenOptions,
  validating,
  validator,
} from "../support/caller-token.js";
import { audienceOf, seenHeader } from "../support/echo.js";
import { KB, KB_AUDIENCE, LLM } from "../support/filter.js";
import { sendLoad, startCheapService } from "../support/load.js";
import { eventually } from "../support/local-mesh.js";
import { headerOf, rawRequest, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { ask, liveClaims, liveToken, outcome, seenOf, startValidating, type ValidatingHop } from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

const OPEN = "open.example.internal";
const TENANTS = "tenants.example.internal";
const stranger = rsaKey(google.id);
const short = rsaKey("short", 1024);
const encrypting = rsaKey("encrypting");
const curve = ecKey("curve");

let hop: ValidatingHop;
let heads: LocalServer;
/** What reached the service behind `TENANTS`, and the other two. */
let reached = 0;

describe.skipIf(envoyPath === "")("attacks on a validator in a real Envoy", () => {
  beforeAll(async () => {
    // Says what it saw: its path, the caller, and who a token is from. And claims to be a hop.
    heads = await startCheapService(
      (head) => {
        reached++;
        return JSON.stringify({
          rawHeaders: head
            .split("\r\n")
            .slice(1)
            .flatMap((line) => line.split(/: (.*)/s).slice(0, 2)),
        });
      },
      () => "x-hopgate-timing: forged;dur=1\r\nserver-timing: service;dur=1\r\n",
    );
    const config = validating(
      {},
      {
        unmatched: "reject",
        routes: [
          { hosts: [KB], to: [{ backend: "kb", weight: 100 }], validate: "google" },
          { hosts: ["*.wild.example.internal"], to: [{ backend: "kb", weight: 100 }], validate: "google" },
          { hosts: [TENANTS], to: [{ backend: "kb", weight: 100 }], validate: "anybody" },
          { hosts: [LLM], to: [{ backend: "llm", weight: 100 }] },
          { hosts: [OPEN], to: [{ backend: "llm", weight: 100 }] },
        ],
        validators: { google: validator(), anybody: validator({ emails: ["*"], forward: true }) },
        timing: { expose: "trace", key: "change-me" },
      },
    );
    const set = keySet(google, short, { ...encrypting.jwk, use: "enc" }, curve);
    hop = await startValidating({
      envoyPath,
      config,
      keySet: set,
      services: { kb: heads, llm: heads },
      concurrency: 2,
    });
    await eventually(async () => ((await outcome(hop, { token: liveToken() })) === "200" ? true : undefined));
    reached = 0;
  });

  afterAll(() => Promise.all([hop.close(), heads.close()]));

  describe("by the host", () => {
    it.each<[string, string]>([
      [KB, "401 token_missing"],
      [KB.toUpperCase(), "401 token_missing"],
      [`${KB}.`, "401 token_missing"],
      [`${KB}:443`, "401 token_missing"],
      [`${KB}.:8080`, "401 token_missing"],
      ["a.wild.example.internal", "401 token_missing"],
      ["a.b.wild.example.internal", "401 token_missing"],
      ["wild.example.internal", "404 route_unmatched"],
      ["evilwild.example.internal", "404 route_unmatched"],
      [`evil${KB}`, "404 route_unmatched"],
      [`${KB}.evil.example`, "404 route_unmatched"],
      ["kb.example.internal.", "401 token_missing"],
      ["kb.example.interna", "404 route_unmatched"],
      ["kb_example_internal", "404 route_unmatched"],
      ["127.0.0.1", "404 route_unmatched"],
      ["[::1]", "404 route_unmatched"],
      ["nobody.example", "404 route_unmatched"],
      [`${KB}..`, "400 host_invalid"],
      [`.${KB}`, "400 host_invalid"],
      [`user@${KB}`, "400 host_invalid"],
      [`${LLM}@${KB}`, "400 host_invalid"],
      [`user:password@${KB}`, "400 host_invalid"],
      [`${LLM},${KB}`, "400 host_invalid"],
      [`${LLM}, ${KB}`, "400"],
      [`${KB}:`, "400 host_invalid"],
      [`${KB}:0`, "400 host_invalid"],
      [`${KB}:65536`, "400 host_invalid"],
      [`${KB}:80:80`, "400 host_invalid"],
      [`kb%2eexample.internal`, "400 host_invalid"],
      [`[${KB}]`, "400 host_invalid"],
      ["[fe80::1%25eth0]", "400 host_invalid"],
      // Beyond ASCII, as Envoy sees it; an ideographic full stop is a dot to some.
      ["a\xe3\x80\x82wild.example.internal", "400"],
      ["\xe9.wild.example.internal", "400"],
    ])("%s: %s", async (host, expected) => {
      expect(await outcome(hop, { host })).toBe(expected);
    });

    it("two hosts are none, whichever is first", async () => {
      for (const [first, second] of [
        [LLM, KB],
        [KB, LLM],
        [KB, KB],
      ]) {
        const { status, code } = await ask(hop, { host: first ?? "", lines: [`Host: ${second ?? ""}`] });
        expect([status, code]).toEqual([400, "host_invalid"]);
      }
    });

    it("of the request line counts, not that of the header", async () => {
      const wire = `GET http://${KB}/ HTTP/1.1\r\nHost: ${LLM}\r\n\r\n`;
      expect(headerOf(await rawRequest(hop.port, wire), "x-hopgate-error")).toBe("token_missing");
    });

    it("of HTTP/2 is the authority, whatever a host header says beside it", async () => {
      const session = http2.connect(hop.origin);
      const stream = session.request({ ":path": "/", ":authority": KB, host: LLM });
      const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
      expect([headers[":status"], headers["x-hopgate-error"]]).toEqual([401, "token_missing"]);
      session.destroy();
    });

    it("no host that is not listed is worth a call to the metadata server", () => {
      expect(hop.metadata.requests.length).toBeGreaterThan(0);
      expect(new Set(hop.metadata.requests.map(({ audience }) => audience))).toEqual(new Set([KB_AUDIENCE]));
    });

    it("none of these reached a service", () => {
      expect(reached).toBe(0);
    });
  });

  describe("by the header that carries the token", () => {
    const good = liveToken();
    it.each<[string, string[], string]>([
      ["two, both good", [`Authorization: Bearer ${good}`, `Authorization: Bearer ${good}`], "401 token_malformed"],
      ["good before bad", [`Authorization: Bearer ${good}`, "Authorization: Bearer x"], "401 token_malformed"],
      ["bad before good", ["Authorization: Basic eDp5", `Authorization: Bearer ${good}`], "401 token_malformed"],
      ["two in one", [`Authorization: Bearer ${good}, Bearer ${good}`], "401 token_malformed"],
      [
        "two of Cloud Run's",
        [`X-Serverless-Authorization: Bearer ${good}`, `X-Serverless-Authorization: Bearer ${good}`],
        "401 token_malformed",
      ],
      [
        "a bad one of Cloud Run's before a good one",
        [`X-Serverless-Authorization: Bearer ${liveToken({ key: stranger })}`, `Authorization: Bearer ${good}`],
        "401 token_signature_invalid",
      ],
      [
        "an empty one of Cloud Run's before a good one",
        ["X-Serverless-Authorization:", `Authorization: Bearer ${good}`],
        "401 token_missing",
      ],
      ["another scheme", [`Authorization: Token ${good}`], "401 token_missing"],
      ["no scheme", [`Authorization: ${good}`], "401 token_missing"],
      ["a scheme that begins alike", [`Authorization: Bearers ${good}`], "401 token_missing"],
      ["a tab", [`Authorization: Bearer\t${good}`], "401 token_missing"],
      ["in the wrong header", [`Proxy-Authorization: Bearer ${good}`], "401 token_missing"],
      ["as a cookie", [`Cookie: authorization=Bearer ${good}`], "401 token_missing"],
      ["any case of the scheme", [`Authorization: bEaReR   ${good}`], "200"],
    ])("%s", async (_name, lines, expected) => {
      expect(await outcome(hop, { lines })).toBe(expected);
    });
  });

  describe("by the token", () => {
    const nowSec = Math.floor(Date.now() / 1000);
    const claiming = (claims: Record<string, unknown>): TokenOptions => ({ claims: liveClaims(claims) });
    const json = JSON.stringify(liveClaims());
    const spelled = (name: string, value: string): TokenOptions => ({
      claims: json.replace(new RegExp(`"${name}":("[^"]*"|[^,}]*)`), `"${name}":${value}`),
    });
    const added = (text: string): TokenOptions => ({ claims: json.replace(/}$/, `,${text}}`) });
    const bytes = (hex: string): TokenOptions => ({
      claims: Buffer.concat([Buffer.from(json.slice(0, -1) + ',"x":"'), Buffer.from(hex, "hex"), Buffer.from('"}')]),
    });
    const [head = "", payload = "", signature = ""] = liveToken().split(".");
    const raw = Buffer.from(signature, "base64url");
    const withSignature = (bytes: Buffer): string => `${head}.${payload}.${bytes.toString("base64url")}`;
    const modulus = Buffer.from(String(google.jwk["n"]), "base64url");
    const headed = (header: Record<string, unknown>, by: (text: string) => Buffer): string => {
      const text = `${base64url(JSON.stringify({ kid: google.id, ...header }))}.${payload}`;
      return `${text}.${by(text).toString("base64url")}`;
    };
    const publicPem = createPublicKey({ key: google.jwk as never, format: "jwk" }).export({
      format: "pem",
      type: "spki",
    });
    const hmac = (secret: string | Buffer) => (text: string) => createHmac("sha256", secret).update(text).digest();
    const pss = (text: string): Buffer =>
      sign("sha256", Buffer.from(text), {
        key: google.privateKey,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: 32,
      });
    const sha = (hash: string) => (text: string) => sign(hash, Buffer.from(text), google.privateKey);
    const mine = (header: Record<string, unknown>): string => liveToken({ key: stranger, header });

    const attacks: [name: string, given: string | TokenOptions, expected: string][] = [
      // Algorithms.
      ["none without a signature", `${base64url('{"alg":"none"}')}.${payload}.`, "401 token_malformed"],
      ["none with two parts", `${base64url('{"alg":"none"}')}.${payload}`, "401 token_malformed"],
      ["none with a good signature", { header: { alg: "none" } }, "401 token_algorithm"],
      ["None", { header: { alg: "None" } }, "401 token_algorithm"],
      ["nOnE", { header: { alg: "nOnE" } }, "401 token_algorithm"],
      ["rs256", { header: { alg: "rs256" } }, "401 token_algorithm"],
      ["RS256 and a space", { header: { alg: "RS256 " } }, "401 token_algorithm"],
      ["RS256 and a NUL", { header: { alg: "RS256\0" } }, "401 token_algorithm"],
      ["no algorithm", { header: { alg: undefined } }, "401 token_algorithm"],
      ["an empty algorithm", { header: { alg: "" } }, "401 token_algorithm"],
      ["a list of algorithms", { header: { alg: ["RS256"] } }, "401 token_algorithm"],
      ["HS256 with the public key", headed({ alg: "HS256" }, hmac(publicPem)), "401 token_algorithm"],
      ["HS256 with the modulus", headed({ alg: "HS256" }, hmac(modulus)), "401 token_algorithm"],
      ["RS256 that is an HMAC", headed({ alg: "RS256" }, hmac(publicPem)), "401 token_signature_invalid"],
      ["PS256 that holds", headed({ alg: "PS256" }, pss), "401 token_algorithm"],
      ["RS256 that is a PSS", headed({ alg: "RS256" }, pss), "401 token_signature_invalid"],
      ["RS512 that holds", headed({ alg: "RS512" }, sha("sha512")), "401 token_algorithm"],
      ["RS256 over SHA-512", headed({ alg: "RS256" }, sha("sha512")), "401 token_signature_invalid"],
      ["RS256 over SHA-1", headed({ alg: "RS256" }, sha("sha1")), "401 token_signature_invalid"],
      ["ES256 that holds", { key: curve }, "401 token_algorithm"],
      ["RS256 with the name of a curve's key", { header: { kid: curve.id } }, "401 token_key_unknown"],
      // Keys of the attacker's.
      ["a stranger's key with our name", mine({}), "401 token_signature_invalid"],
      ["jwk", mine({ jwk: stranger.jwk }), "401 token_signature_invalid"],
      ["jwk without a name", mine({ jwk: stranger.jwk, kid: undefined }), "401 token_key_unknown"],
      ["jku", mine({ jku: "http://127.0.0.1:1/keys" }), "401 token_signature_invalid"],
      ["x5u", mine({ x5u: "http://127.0.0.1:1/certificate" }), "401 token_signature_invalid"],
      ["x5c", mine({ x5c: ["MIIB"] }), "401 token_signature_invalid"],
      ["a path as the name", mine({ kid: "../../../../dev/null" }), "401 token_key_unknown"],
      ["SQL as the name", mine({ kid: "x' UNION SELECT 'key" }), "401 token_key_unknown"],
      ["the name with a NUL", mine({ kid: `${google.id}\0` }), "401 token_key_unknown"],
      ["a name of 256 bytes", mine({ kid: "k".repeat(256) }), "401 token_key_unknown"],
      ["a name of 257 bytes", mine({ kid: "k".repeat(257) }), "401 token_malformed"],
      ["RSA of 1024 bits, in the set", { key: short }, "401 token_key_unknown"],
      ["a key for encryption, in the set", { key: encrypting }, "401 token_key_unknown"],
      // Headers.
      ["crit", { header: { crit: ["exp"], exp: 1 } }, "401 token_malformed"],
      ["an empty crit", { header: { crit: [] } }, "401 token_malformed"],
      [
        "crit spelled with an escape",
        { header: `{"alg":"RS256","kid":"${google.id}","cr\\u0069t":["b64"]}` },
        "401 token_malformed",
      ],
      ["b64 false and critical", { header: { b64: false, crit: ["b64"] } }, "401 token_malformed"],
      [
        "a name twice in the header",
        { header: `{"alg":"none","alg":"RS256","kid":"${google.id}"}` },
        "401 token_malformed",
      ],
      [
        "a name twice by an escape",
        { header: `{"alg":"RS256","\\u0061lg":"none","kid":"${google.id}"}` },
        "401 token_malformed",
      ],
      ["a byte order mark", { header: `\ufeff{"alg":"RS256","kid":"${google.id}"}` }, "401 token_malformed"],
      [
        "overlong UTF-8 in the header",
        { header: Buffer.from([0x7b, 0x22, 0xc1, 0xa1, 0x22, 0x3a, 0x31, 0x7d]).toString("latin1") },
        "401 token_algorithm",
      ],
      // Times.
      ["exp a minute ago", claiming({ iat: nowSec - 3600, exp: nowSec - 61 }), "401 token_expired"],
      ["exp as text", claiming({ exp: String(nowSec + 3600) }), "401 token_claims"],
      ["exp NaN", spelled("exp", "NaN"), "401 token_claims"],
      ["exp Infinity", spelled("exp", "Infinity"), "401 token_claims"],
      ["exp 1e400", spelled("exp", "1e400"), "401 token_claims"],
      ["exp 1e10", spelled("exp", "1e10"), "401 token_claims"],
      ["exp 2^64", spelled("exp", "18446744073709551616"), "401 token_claims"],
      [
        "exp 2^64 and an hour",
        spelled("exp", String(18446744073709551616n + BigInt(nowSec + 3600))),
        "401 token_claims",
      ],
      ["exp 2^63", spelled("exp", "9223372036854775808"), "401 token_claims"],
      ["exp 2^53", spelled("exp", "9007199254740992"), "401 token_claims"],
      ["exp in a thousand years", claiming({ exp: nowSec + 31_536_000_000 }), "401 token_claims"],
      ["exp negative", spelled("exp", "-1"), "401 token_claims"],
      ["exp minus zero", spelled("exp", "-0"), "401 token_claims"],
      ["exp zero", spelled("exp", "0"), "401 token_expired"],
      ["exp with a leading zero", spelled("exp", `0${nowSec + 3600}`), "401 token_claims"],
      ["exp in hexadecimal", spelled("exp", "0x7fffffff"), "401 token_claims"],
      ["exp with a fraction", spelled("exp", `${nowSec + 3600}.0`), "401 token_claims"],
      ["exp true", claiming({ exp: true }), "401 token_claims"],
      ["exp null", claiming({ exp: null }), "401 token_claims"],
      ["exp a list", claiming({ exp: [nowSec + 3600] }), "401 token_claims"],
      ["no exp", claiming({ exp: undefined }), "401 token_claims"],
      ["exp twice", added(`"exp":${nowSec + 3600}`), "401 token_claims"],
      ["exp spelled with an escape beside another", added(`"\\u0065xp":${nowSec + 3600}`), "401 token_claims"],
      ["nbf in five minutes", claiming({ nbf: nowSec + 300 }), "401 token_not_yet_valid"],
      ["iat in five minutes", claiming({ iat: nowSec + 300 }), "401 token_not_yet_valid"],
      // Issuers and audiences.
      ["iss without a scheme", claiming({ iss: "accounts.google.com" }), "401 token_issuer"],
      ["iss by http", claiming({ iss: "http://accounts.google.com" }), "401 token_issuer"],
      ["iss with a slash", claiming({ iss: "https://accounts.google.com/" }), "401 token_issuer"],
      ["iss in capitals", claiming({ iss: "https://ACCOUNTS.google.com" }), "401 token_issuer"],
      ["iss with a suffix", claiming({ iss: "https://accounts.google.com.evil.example" }), "401 token_issuer"],
      ["iss with a NUL", claiming({ iss: "https://accounts.google.com\0" }), "401 token_issuer"],
      ["iss in a list", claiming({ iss: ["https://accounts.google.com"] }), "401 token_issuer"],
      ["no iss", claiming({ iss: undefined }), "401 token_issuer"],
      ["aud in a list", claiming({ aud: [EDGE_AUDIENCE] }), "401 token_audience"],
      ["aud among others", claiming({ aud: ["https://evil.example", EDGE_AUDIENCE] }), "401 token_audience"],
      ["aud a prefix", claiming({ aud: EDGE_AUDIENCE.slice(0, -1) }), "401 token_audience"],
      ["aud with more behind", claiming({ aud: `${EDGE_AUDIENCE}.evil.example` }), "401 token_audience"],
      ["aud with a slash", claiming({ aud: `${EDGE_AUDIENCE}/` }), "401 token_audience"],
      ["aud in capitals", claiming({ aud: EDGE_AUDIENCE.toUpperCase() }), "401 token_audience"],
      ["aud of the service behind", claiming({ aud: KB_AUDIENCE }), "401 token_audience"],
      ["aud twice", added(`"aud":"${EDGE_AUDIENCE}"`), "401 token_claims"],
      ["no aud", claiming({ aud: undefined }), "401 token_audience"],
      // Callers.
      ["another caller", claiming({ email: "mallory@evil.example" }), "403 caller_not_allowed"],
      ["a caller with more behind", claiming({ email: `${ORCHESTRATOR}.evil.example` }), "403 caller_not_allowed"],
      ["a caller with a NUL", claiming({ email: `${ORCHESTRATOR}\0` }), "403 caller_not_allowed"],
      ["a caller who is not verified", claiming({ email_verified: false }), "403 caller_not_allowed"],
      ["a caller verified by 1", claiming({ email_verified: 1 }), "403 caller_not_allowed"],
      ["callers in a list", claiming({ email: [ORCHESTRATOR] }), "401 token_claims"],
      // Text.
      ["overlong UTF-8: / in two bytes", bytes("c0af"), "401 token_claims"],
      ["overlong UTF-8: NUL in two bytes", bytes("c080"), "401 token_claims"],
      ["overlong UTF-8: / in three bytes", bytes("e080af"), "401 token_claims"],
      ["overlong UTF-8: / in four bytes", bytes("f08080af"), "401 token_claims"],
      ["a surrogate in UTF-8", bytes("eda080"), "401 token_claims"],
      ["above U+10FFFF", bytes("f4908080"), "401 token_claims"],
      ["a lone surrogate as an escape", added('"x":"\\ud800"'), "401 token_claims"],
      ["a NUL in text", bytes("00"), "401 token_claims"],
      ["a comment", { claims: `${json}//` }, "401 token_claims"],
      ["two objects", { claims: `${json}${json}` }, "401 token_claims"],
      ["depth 17", added(`"x":${"[".repeat(16)}${"]".repeat(16)}`), "401 token_claims"],
      ["depth 16", added(`"x":${"[".repeat(15)}${"]".repeat(15)}`), "200"],
      ["depth 1,000", added(`"x":${"[".repeat(1000)}${"]".repeat(1000)}`), "401 token_claims"],
      // Shape.
      ["padding", `${head}.${payload}.${signature}==`, "401 token_malformed"],
      ["padding of the payload", `${head}.${payload}=.${signature}`, "401 token_malformed"],
      [
        "base64 with + and /",
        `${head}.${payload}.${raw.toString("base64").replaceAll("=", "")}+/`,
        "401 token_malformed",
      ],
      [
        "bits left over",
        `${head}.${payload}.${signature.slice(0, -1)}${next(signature.slice(-1))}`,
        "401 token_malformed",
      ],
      ["four parts", `${head}.${payload}.${signature}.${signature}`, "401 token_malformed"],
      ["a dot behind", `${head}.${payload}.${signature}.`, "401 token_malformed"],
      ["a dot in front", `.${head}.${payload}.${signature}`, "401 token_malformed"],
      ["five parts, as encrypted tokens have", `${head}.a.b.c.d`, "401 token_malformed"],
      ["signature empty", `${head}.${payload}.`, "401 token_malformed"],
      ["signature removed", `${head}.${payload}.SIGNATURE_REMOVED_BY_GOOGLE`, "401 token_signature_removed"],
      ["signature cut short", withSignature(raw.subarray(0, 255)), "401 token_signature_invalid"],
      [
        "signature with a zero in front",
        withSignature(Buffer.concat([Buffer.alloc(1), raw])),
        "401 token_signature_invalid",
      ],
      [
        "signature with a zero behind",
        withSignature(Buffer.concat([raw, Buffer.alloc(1)])),
        "401 token_signature_invalid",
      ],
      ["signature of zeros", withSignature(Buffer.alloc(256)), "401 token_signature_invalid"],
      ["signature that is the modulus", withSignature(modulus), "401 token_signature_invalid"],
      ["signature of another text", withSignature(signed(google, "else")), "401 token_signature_invalid"],
      ["8,193 bytes", `${head}.${"A".repeat(8192 - head.length - 5)}.AAAA`, "401 token_malformed"],
      ["60 KiB", "A".repeat(50_000), "401 token_malformed"],
    ];

    // A token in the title would be a token in every report.
    it.each(attacks.map(([name, given, expected]) => ({ name, given, expected })))(
      "$name: $expected",
      async ({ given, expected }) => {
        const token = typeof given === "string" ? given : liveToken({ claims: liveClaims(), ...given });
        expect(await outcome(hop, { token })).toBe(expected);
      },
    );

    it("the signature of the last one may be as long as the limit of 8 KiB lets it", async () => {
      const token = `${head}.${payload}.${"A".repeat(8192 - head.length - payload.length - 2)}`;
      expect(token.length).toBe(8192);
      expect(["401 token_signature_invalid", "401 token_malformed"]).toContain(await outcome(hop, { token }));
    });
  });

  describe("by headers that only hops may write", () => {
    const forged = [
      "X-Hopgate-Backend: llm",
      "X-Hopgate-Caller: root@example.com",
      "x-hopgate-caller: root@example.com",
      "X-Hopgate-Path: ingress,agents",
      "X-Hopgate-Timing: other;dur=1",
      "X-Hopgate-Error: none",
      "Server-Timing: other;dur=1",
    ];

    it("nobody routes himself, names himself, or is let in by them", async () => {
      expect(await outcome(hop, { lines: forged })).toBe("401 token_missing");
      const seen = seenOf(await ask(hop, { token: liveToken(), lines: forged }));
      expect(seenHeader(seen, "x-hopgate-backend")).toEqual(["kb"]);
      expect(seenHeader(seen, "x-hopgate-caller")).toEqual([ORCHESTRATOR]);
      expect(seenHeader(seen, "x-hopgate-path")).toEqual(["ingress"]);
      expect(seenHeader(seen, "x-hopgate-timing")).toEqual([]);
      expect(seenHeader(seen, "x-hopgate-error")).toEqual([]);
    });

    it("nobody names himself where nobody is checked either", async () => {
      const seen = seenOf(await ask(hop, { host: OPEN, lines: forged }));
      expect(seenHeader(seen, "x-hopgate-caller")).toEqual([]);
      expect(seenHeader(seen, "x-hopgate-backend")).toEqual(["llm"]);
    });

    it("nor by a spelling with underscores, which many a service takes for the same name", async () => {
      const spellings = ["x_hopgate_caller", "X-Hopgate_Caller", "x_hopgate-caller", "X_HOPGATE_BACKEND"];
      const seen = seenOf(await ask(hop, { host: OPEN, lines: spellings.map((name) => `${name}: root@example.com`) }));
      expect(JSON.stringify(seen.rawHeaders)).not.toContain("root@example.com");
    });

    it("a service is not taken for a hop", async () => {
      const traced = await ask(hop, { token: liveToken(), lines: ["X-Hopgate-Trace: change-me"] });
      expect(valuesOf(traced, "x-hopgate-timing")).toEqual([]);
      expect(valuesOf(traced, "server-timing").join()).toMatch(
        /^service;dur=1,ingress;dur=[0-9.]+, ingress-upstream;dur=[0-9.]+/,
      );
      const other = await ask(hop, { token: liveToken() });
      expect(valuesOf(other, "server-timing")).toEqual(["service;dur=1"]);
      expect(valuesOf(other, "x-hopgate-timing")).toEqual([]);
    });
  });

  describe("among many tenants at once", () => {
    const tenants = Array.from({ length: 24 }, (_, index) => {
      const email = `tenant-${index}@example.com`;
      return { email, token: liveToken({ claims: liveClaims({ email }) }) };
    });
    /** Tenant `index`; every fifth request comes with one token's body and another's signature. */
    const isForged = (index: number): boolean => index % 5 === 4;
    const tokenOf = (index: number): string => {
      const token = tenants[index % 24]?.token ?? "";
      if (!isForged(index)) return token;
      return `${token.slice(0, token.lastIndexOf("."))}.${tenants[(index + 1) % 24]?.token.split(".")[2] ?? ""}`;
    };
    const expectOwn = (index: number, body: string): void => {
      const seen = JSON.parse(body) as { rawHeaders: string[] };
      expect(seenHeader(seen, "x-hopgate-caller"), `request ${index}`).toEqual([tenants[index % 24]?.email]);
      expect(seenHeader(seen, "authorization")).toEqual([`Bearer ${tokenOf(index)}`]);
      expect(seenHeader(seen, "x-serverless-authorization").map(audienceOf)).toEqual([KB_AUDIENCE]);
      expect(seenHeader(seen, "x-index")).toEqual([String(index)]);
    };

    it("every answer on a kept connection belongs to its caller", async () => {
      let refused = 0;
      await sendLoad({
        port: hop.port,
        connections: 24,
        count: 4_000,
        head: (index) => `host: ${TENANTS}\r\nx-index: ${index}\r\nauthorization: Bearer ${tokenOf(index)}`,
        onAnswer: (index, head, body) => {
          if (isForged(index)) {
            refused++;
            expect(head).toMatch(/^HTTP\/1.1 401 [\s\S]*x-hopgate-error: token_signature_invalid/);
          } else {
            expect(head).toMatch(/^HTTP\/1.1 200 /);
            expectOwn(index, body);
          }
        },
      });
      expect(refused).toBe(800);
    });

    it("every stream of one HTTP/2 connection belongs to its caller", async () => {
      const session = http2.connect(hop.origin);
      for (let wave = 0; wave < 10; wave++) {
        await Promise.all(
          Array.from({ length: 80 }, async (_, at) => {
            const index = wave * 80 + at;
            const stream = session.request({
              ":path": "/",
              ":authority": TENANTS,
              "x-index": String(index),
              authorization: `Bearer ${tokenOf(index)}`,
            });
            const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
            const body = await text(stream);
            expect(headers[":status"]).toBe(isForged(index) ? 401 : 200);
            if (!isForged(index)) expectOwn(index, body);
          }),
        );
      }
      session.destroy();
    });
  });

  it("jku and x5u were not followed: nothing but the key set was asked for", () => {
    expect(hop.keys.requests()).toBeLessThanOrEqual(6);
    expect(JWKS).toContain("googleapis");
  });
});

/** Another last digit of a base64url text with the same bytes. */
function next(digit: string): string {
  return String.fromCharCode(digit.charCodeAt(0) + 1);
}

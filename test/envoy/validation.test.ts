import { readFile } from "node:fs/promises";
import http2 from "node:http2";
import { join } from "node:path";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import {
  EDGE_AUDIENCE,
  iap,
  keySet,
  google,
  ORCHESTRATOR,
  rsaKey,
  validating,
  validator,
} from "../support/caller-token.js";
import { audienceOf, seenHeader } from "../support/echo.js";
import { KB, KB_AUDIENCE, LLM } from "../support/filter.js";
import { startCall } from "../support/grpc.js";
import { eventually } from "../support/local-mesh.js";
import { scrape } from "../support/metrics.js";
import { headerOf, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { ask, liveClaims, liveToken, outcome, seenOf, startValidating, type ValidatingHop } from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

const IAP = "iap.example.internal";
const STRIPPED = "stripped.example.internal";
const stranger = rsaKey("google-1");
let hop: ValidatingHop;
/** With which codes requests were refused here, each for its own path. */
const codes = new Set<string>();

describe.skipIf(envoyPath === "")("checking callers on a real Envoy", () => {
  beforeAll(async () => {
    const config = validating(
      {},
      {
        routes: [
          { hosts: [KB], to: [{ backend: "kb", weight: 100 }], validate: "google" },
          { hosts: [STRIPPED], to: [{ backend: "kb", weight: 100 }], validate: "stripping" },
          { hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "google" },
          { hosts: [IAP], to: [{ backend: "llm", weight: 100 }], validate: "iap" },
        ],
        validators: {
          google: validator(),
          stripping: validator({ forward: false }),
          iap: validator({
            issuers: ["https://cloud.google.com/iap"],
            audiences: ["/projects/1/global/backendServices/2"],
            algorithm: "ES256",
            header: "x-goog-iap-jwt-assertion",
          }),
        },
      },
    );
    hop = await startValidating({ envoyPath, config, keySet: keySet(google, iap), concurrency: 1 });
    await eventually(async () => ((await outcome(hop, { token: liveToken() })) === "200" ? true : undefined));
  });

  afterAll(() => hop.close());

  describe("a valid token", () => {
    it("lets its caller in, is named to the service, and goes on beside the hop's own", async () => {
      const token = liveToken();
      for (const use of ["first", "again"]) {
        const answer = await ask(hop, { token });
        expect(answer.status, use).toBe(200);
        const seen = seenOf(answer);
        expect(seenHeader(seen, "x-hopgate-caller")).toEqual([ORCHESTRATOR]);
        expect(seenHeader(seen, "authorization")).toEqual([`Bearer ${token}`]);
        expect(seenHeader(seen, "x-serverless-authorization").map(audienceOf)).toEqual([KB_AUDIENCE]);
      }
    });

    it("may be made by another library", async () => {
      const token = await new SignJWT(liveClaims())
        .setProtectedHeader({ alg: "RS256", kid: google.id })
        .sign(google.privateKey);
      expect(await outcome(hop, { token })).toBe("200");
    });

    it("is taken away where it is not to be forwarded, and the hop's own stands in its place", async () => {
      const seen = seenOf(await ask(hop, { host: STRIPPED, token: liveToken() }));
      expect(seenHeader(seen, "authorization").map(audienceOf)).toEqual([KB_AUDIENCE]);
      expect(seenHeader(seen, "x-serverless-authorization")).toEqual([]);
      expect(seenHeader(seen, "x-hopgate-caller")).toEqual([ORCHESTRATOR]);
    });

    it("in x-serverless-authorization never stays beside the hop's own there", async () => {
      const lines = ["Authorization: Basic c2VydmljZTpvd24=", `X-Serverless-Authorization: Bearer ${liveToken()}`];
      const seen = seenOf(await ask(hop, { lines }));
      expect(seenHeader(seen, "authorization")).toEqual(["Basic c2VydmljZTpvd24="]);
      expect(seenHeader(seen, "x-serverless-authorization").map(audienceOf)).toEqual([KB_AUDIENCE]);
    });

    it("of Identity-Aware Proxy comes bare in its own header, signed with ES256", async () => {
      const claims = (nonce: number): Record<string, unknown> => ({
        ...liveClaims({ iss: "https://cloud.google.com/iap", aud: "/projects/1/global/backendServices/2", nonce }),
        email_verified: undefined,
      });
      // Halves of a signature that begin with zeros or with a set bit are written in DER with another length.
      for (let nonce = 0; nonce < 64; nonce++) {
        const assertion = liveToken({ key: iap, claims: claims(nonce) });
        const answer = await ask(hop, { host: IAP, lines: [`X-Goog-IAP-JWT-Assertion: ${assertion}`] });
        expect(answer.status).toBe(200);
        expect(seenHeader(seenOf(answer), "x-hopgate-caller")).toEqual([ORCHESTRATOR]);
      }
      const [head = "", payload = ""] = liveToken({ key: iap, claims: claims(0) }).split(".");
      const zeros = Buffer.alloc(64).toString("base64url");
      const forged = [`X-Goog-IAP-JWT-Assertion: ${head}.${payload}.${zeros}`];
      expect(await outcome(hop, { host: IAP, lines: forged })).toBe("401 token_signature_invalid");
    });
  });

  describe("a refusal", () => {
    const nowSec = Math.floor(Date.now() / 1000);
    const [head = "", payload = ""] = liveToken().split(".");
    const claiming = (claims: Record<string, unknown>): string => liveToken({ claims: liveClaims(claims) });

    it.each<[string, string | undefined, number]>([
      ["token_missing", undefined, 401],
      ["token_malformed", "nonsense", 401],
      ["token_algorithm", liveToken({ header: { alg: "HS256" } }), 401],
      ["token_signature_removed", `${head}.${payload}.SIGNATURE_REMOVED_BY_GOOGLE`, 401],
      ["token_key_unknown", liveToken({ header: { kid: "nobody" } }), 401],
      ["token_signature_invalid", liveToken({ key: stranger }), 401],
      ["token_expired", claiming({ iat: nowSec - 3600, exp: nowSec - 61 }), 401],
      ["token_not_yet_valid", claiming({ nbf: nowSec + 300 }), 401],
      ["token_issuer", claiming({ iss: "accounts.google.com" }), 401],
      ["token_audience", claiming({ aud: `${EDGE_AUDIENCE}/` }), 401],
      ["token_claims", claiming({ exp: nowSec + 86_400 }), 401],
      ["caller_not_allowed", claiming({ email: "mallory@evil.example" }), 403],
    ])("%s has its status, challenge and problem, and reaches no service", async (code, token, status) => {
      const answer = await ask(hop, { ...(token !== undefined && { token }), path: `/${code}` });
      expect([answer.status, answer.code]).toEqual([status, code]);
      const challenge = code === "token_missing" ? "Bearer" : 'Bearer error="invalid_token"';
      expect(valuesOf(answer, "www-authenticate")).toEqual(status === 401 ? [challenge] : []);
      expect(headerOf(answer, "content-type")).toBe("application/problem+json");
      expect(valuesOf(answer, "retry-after")).toEqual([]);
      const problem = JSON.parse(answer.body.toString()) as Record<string, unknown>;
      const title = status === 401 ? "Unauthorized" : "Forbidden";
      expect(problem).toEqual({ type: "about:blank", title, status, code, detail: expect.any(String) as string });
      codes.add(code);
    });

    it.each([
      ["16", undefined],
      ["16", liveToken({ key: stranger })],
      ["7", claiming({ email: "mallory@evil.example" })],
    ])("has grpc-status %s for gRPC", async (status, token) => {
      const session = http2.connect(hop.origin);
      const call = startCall(session, KB, "/a.B/C", token === undefined ? {} : { authorization: `Bearer ${token}` });
      expect(await call.headers).toMatchObject({ ":status": 200, "grpc-status": status });
      call.stream.end();
      session.destroy();
    });
  });

  it("counts checks by result, and fetches of keys", async () => {
    const token = liveToken();
    const before = await validations();
    for (let i = 0; i < 3; i++) await ask(hop, { token });
    await ask(hop);
    await ask(hop, { token: liveToken({ key: stranger }) });
    const count = (metrics: Map<string, number>, result: string): number => metrics.get(result) ?? 0;
    const grown = async (): Promise<number[]> => {
      const after = await validations();
      return ["ok", "token_missing", "token_signature_invalid"].map(
        (result) => count(after, result) - count(before, result),
      );
    };
    // Envoy's workers hand their counts over a moment later.
    await eventually(async () => ((await grown()).join() === "3,1,1" ? true : undefined));
    const fetches = (await scrape(hop.envoy.admin)).filter(({ name }) => name === "hopgate_key_fetches");
    expect(fetches.map(({ labels }) => labels)).toEqual([{ hop: "ingress", result: "ok" }]);
    expect(fetches[0]?.value).toBe(hop.keys.requests());
  });

  it("tells the access log of each refusal, and of no other request", async () => {
    await hop.envoy.stop(); // Envoy writes its access log out at the latest now
    const lines = (await readFile(join(hop.dir, "access.log"), "utf8")).trim().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const code of codes) {
      expect(entries.find(({ path }) => path === `/${code}`)).toMatchObject({
        response_code_details: `hopgate_${code}`,
        hopgate_error: code,
        upstream_host: null,
      });
    }
    const letIn = entries.filter((entry) => entry["upstream_host"] !== null);
    expect(letIn.length).toBeGreaterThan(70);
    expect(new Set(letIn.map((entry) => entry["hopgate_error"]))).toEqual(new Set([null]));
  });
});

async function validations(): Promise<Map<string, number>> {
  const metrics = (await scrape(hop.envoy.admin)).filter(({ name }) => name === "hopgate_validations");
  return new Map(metrics.map(({ labels, value }) => [labels["result"] ?? "", value]));
}

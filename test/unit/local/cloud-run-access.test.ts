import fc from "fast-check";
import { SignJWT, UnsecuredJWT, type JWTPayload } from "jose";
import { beforeAll, describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../../shim/local/ca.js";
import { startAgent, type AgentReport } from "../../../shim/local/agent.js";
import { startCloudRun, type CloudRun } from "../../../shim/local/cloud-run.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { send, type Reply } from "./support.js";

const HOST = "kb-abc123-uc.a.run.app";
const AUDIENCE = `https://${HOST}`;
const CUSTOM_AUDIENCE = "https://agents.ai-platform.example.internal";
const INVOKER = "gateway@my-project.iam.gserviceaccount.com";
const NOW_MS = Date.parse("2026-01-01T00:00:00Z");
const NOW_SEC = NOW_MS / 1000;
const AUDIENCES = Array.from({ length: 4 }, (_, index) => `https://s${index}-abc123-uc.a.run.app`);

const keys = await createKeySet();
const strangerKeys = await createKeySet();
const authority = await createCertificateAuthority();

let front: CloudRun;

beforeAll(async () => {
  const agent = await startAgent();
  const service = { audiences: [AUDIENCE, CUSTOM_AUDIENCE], invokers: [INVOKER], container: agent.origin };
  front = await startCloudRun({
    services: {
      [HOST]: service,
      "public-abc123-uc.a.run.app": { ...service, invokers: "all" },
      ...Object.fromEntries(AUDIENCES.map((url) => [new URL(url).hostname, { ...service, audiences: [url] }])),
    },
    keys: keys.jwks,
    tls: await authority.issue({ dnsNames: ["*.a.run.app"] }),
    now: () => NOW_MS,
  });
  return async () => {
    await Promise.all([front.close(), agent.close()]);
  };
});

/** Claims of a good token, changed; `undefined` leaves one out. */
function claims(changes: Record<string, unknown> = {}): JWTPayload {
  return {
    iss: "https://accounts.google.com",
    aud: AUDIENCE,
    iat: NOW_SEC - 60,
    exp: NOW_SEC + 3540,
    email: INVOKER,
    email_verified: true,
    ...changes,
  };
}

function get(headers: Record<string, string>, host = HOST, path = "/"): Promise<Reply> {
  return send(front.origin, path, { headers: { host, ...headers }, ca: authority.certificate, servername: HOST });
}

async function withToken(changes: Record<string, unknown>, host = HOST): Promise<Reply> {
  return get({ authorization: `Bearer ${await keys.sign(claims(changes))}` }, host);
}

function expectUnauthorized(reply: Reply, outcome: string): void {
  expect(front.requests.at(-1)?.outcome).toBe(outcome);
  expect(reply.status).toBe(401);
  expect(reply.headers["www-authenticate"]).toBe(
    'Bearer error="invalid_token" error_description="The access token could not be verified"',
  );
  expect(reply.body).toContain("<title>401 Unauthorized</title>");
  expect(reply.body).toContain("Your client does not have permission to the requested URL <code>/</code>.");
}

function expectForbidden(reply: Reply, outcome: string): void {
  expect(front.requests.at(-1)?.outcome).toBe(outcome);
  expect(reply.status).toBe(403);
  expect(reply.headers).not.toHaveProperty("www-authenticate");
  expect(reply.body).toContain("<title>403 Forbidden</title>");
  expect(reply.body).toContain("Your client does not have permission to get URL <code>/</code> from this server.");
}

/** A token's text with one of its three parts replaced. */
function withPart(token: string, part: 0 | 1 | 2, value: string): string {
  return token.split(".").with(part, value).join(".");
}

describe("access to a Cloud Run service", () => {
  it("is given to an invoker with a token for the service's url or a custom audience", async () => {
    for (const aud of [AUDIENCE, CUSTOM_AUDIENCE]) expect((await withToken({ aud })).status).toBe(200);
    expect(front.requests.at(-1)).toEqual({ host: HOST, path: "/", outcome: "forwarded" });
  });

  it("takes the scheme in any case and the host in any case, with a port", async () => {
    const token = await keys.sign(claims());
    expect((await get({ authorization: `bearer ${token}` })).status).toBe(200);
    expect((await get({ authorization: `Bearer ${token}` }, `${HOST.toUpperCase()}:443`)).status).toBe(200);
  });

  it("is forbidden without a token", async () => {
    expectForbidden(await get({}), "token_missing");
  });

  it("is forbidden to a caller who is no invoker", async () => {
    expectForbidden(await withToken({ email: "other@my-project.iam.gserviceaccount.com" }), "caller_not_invoker");
  });

  it("is forbidden to a token without a verified email", async () => {
    expectForbidden(await withToken({ email: undefined }), "caller_not_invoker");
    expectForbidden(await withToken({ email_verified: false }), "caller_not_invoker");
  });

  it("is refused to what is no ID token", async () => {
    for (const value of ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ya29.c.opaque", "Bearer a.b.c", "Bearer a b"]) {
      expectUnauthorized(await get({ authorization: value }), "token_malformed");
    }
  });

  it("is refused to a token of another signer", async () => {
    const token = await strangerKeys.sign(claims());
    expectUnauthorized(await get({ authorization: `Bearer ${token}` }), "token_signature");
  });

  it("is refused to a token whose claims or signature were changed", async () => {
    const token = await keys.sign(claims());
    const other = (await keys.sign(claims({ email: "x@y.z" }))).split(".");
    for (const forged of [withPart(token, 1, other[1] ?? ""), withPart(token, 2, other[2] ?? "")]) {
      expectUnauthorized(await get({ authorization: `Bearer ${forged}` }), "token_signature");
    }
  });

  it("is refused to a token whose signature another front end had removed", async () => {
    const token = withPart(await keys.sign(claims()), 2, "SIGNATURE_REMOVED_BY_GOOGLE");
    expectUnauthorized(await get({ authorization: `Bearer ${token}` }), "token_signature");
  });

  it("is refused to a token of another algorithm", async () => {
    const symmetric = await new SignJWT(claims()).setProtectedHeader({ alg: "HS256" }).sign(new Uint8Array(32));
    expectUnauthorized(await get({ authorization: `Bearer ${symmetric}` }), "token_algorithm");
    const unsecured = new UnsecuredJWT(claims()).encode();
    expectUnauthorized(await get({ authorization: `Bearer ${unsecured}` }), "token_algorithm");
  });

  it("is refused to a token of another issuer", async () => {
    expectUnauthorized(await withToken({ iss: "https://accounts.example.com" }), "token_issuer");
  });

  it("is refused to a token that has expired, at the second it does", async () => {
    expect((await withToken({ exp: NOW_SEC + 1 })).status).toBe(200);
    expectUnauthorized(await withToken({ exp: NOW_SEC }), "token_expired");
  });

  it("is refused to a token that does not expire or is not valid yet", async () => {
    expectUnauthorized(await withToken({ exp: undefined }), "token_claims");
    expectUnauthorized(await withToken({ nbf: NOW_SEC + 10 }), "token_claims");
  });

  it("is refused to a token for an audience that only resembles the service's", async () => {
    const similar = [`${AUDIENCE}/`, AUDIENCE.slice(0, -1), AUDIENCE.toUpperCase(), HOST, "", undefined];
    for (const aud of similar) expectUnauthorized(await withToken({ aud }), "token_audience");
  });

  it("is refused to tokens of one service at every other", async () => {
    const service = fc.integer({ min: 0, max: AUDIENCES.length - 1 });
    await fc.assert(
      fc.asyncProperty(service, service, async (from, to) => {
        const aud = AUDIENCES[from] ?? "";
        const reply = await withToken({ aud }, new URL(AUDIENCES[to] ?? "").hostname);
        expect(reply.status).toBe(from === to ? 200 : 401);
      }),
      { numRuns: 40 },
    );
  });

  it("is decided by x-serverless-authorization alone where both headers are sent", async () => {
    const token = await keys.sign(claims());
    const good = await get({ "x-serverless-authorization": `Bearer ${token}`, authorization: "Bearer own-of-the-app" });
    expect(good.status).toBe(200);
    const bad = await get({ "x-serverless-authorization": "Bearer nonsense", authorization: `Bearer ${token}` });
    expectUnauthorized(bad, "token_malformed");
  });

  it("leaves the container the accepted token without its signature, and other credentials whole", async () => {
    const token = await keys.sign(claims());
    const own = await strangerKeys.sign({ aud: "https://api.example.com", email: "user@example.com" });
    const headers = { "x-serverless-authorization": `Bearer ${token}`, authorization: `Bearer ${own}` };
    const report = JSON.parse((await get(headers)).body) as AgentReport;
    expect(report.identity).toEqual([
      {
        header: "authorization",
        audience: "https://api.example.com",
        email: "user@example.com",
        signature_removed: false,
      },
      { header: "x-serverless-authorization", audience: AUDIENCE, email: INVOKER, signature_removed: true },
    ]);
  });

  it("is open to everybody where all may invoke, credentials untouched", async () => {
    const own = await strangerKeys.sign({ aud: "https://api.example.com" });
    const reply = await get({ authorization: `Bearer ${own}` }, "public-abc123-uc.a.run.app");
    expect((JSON.parse(reply.body) as AgentReport).identity).toMatchObject([{ signature_removed: false }]);
    expect((await get({}, "public-abc123-uc.a.run.app")).status).toBe(200);
  });

  it("ends at a host that has no service, whatever the token", async () => {
    for (const host of ["nobody-uc.a.run.app", "constructor", `${HOST}.`]) {
      const reply = await withToken({}, host);
      expect(reply.status).toBe(404);
      expect(reply.body).toContain("<title>404 Page not found</title>");
      expect(front.requests.at(-1)?.outcome).toBe("host_unknown");
    }
  });

  it("is checked against the keys of the moment", async () => {
    const before = await keys.sign(claims());
    await keys.rotate();
    expect((await get({ authorization: `Bearer ${await keys.sign(claims())}` })).status).toBe(200);
    expect((await get({ authorization: `Bearer ${before}` })).status).toBe(200);
    await keys.rotate();
    expectUnauthorized(await get({ authorization: `Bearer ${before}` }), "token_signature");
  });

  it("quotes the path in the page of a refusal, but never as HTML", async () => {
    const reply = await get({}, HOST, "/a&b<c>?q=<i>");
    expect(reply.body).toContain("<code>/a&#38;b%3Cc%3E</code>");
  });
});

import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";

import { createKeySet } from "../../../shim/local/keys.js";
import { startMetadataServer, type MetadataServerOptions } from "../../../shim/local/metadata-server.js";
import { closedAfterEach, send, type Reply } from "./support.js";

const keys = await createKeySet();
const keep = closedAfterEach();
const EMAIL = "gateway@my-project.iam.gserviceaccount.com";
const AUDIENCE = "https://kb-abc123-uc.a.run.app";
const ACCOUNTS = "/computeMetadata/v1/instance/service-accounts";
const FLAVOR = { "Metadata-Flavor": "Google" };
const START_MS = Date.parse("2026-01-01T00:00:00Z");

function identityPath(audience: string, rest = "&format=full", account = "default"): string {
  return `${ACCOUNTS}/${account}/identity?audience=${encodeURIComponent(audience)}${rest}`;
}

function start(options: Partial<MetadataServerOptions> = {}) {
  return keep(startMetadataServer({ keys, email: EMAIL, ...options }));
}

function get(server: { origin: string }, path: string, headers: Record<string, string> = FLAVOR): Promise<Reply> {
  return send(server.origin, path, { headers });
}

describe("the metadata server", () => {
  it("answers an identity request with a bare signed token", async () => {
    const server = await start();
    const reply = await get(server, identityPath(AUDIENCE));
    expect(reply.status).toBe(200);
    expect(reply.headers).toMatchObject({
      "metadata-flavor": "Google",
      server: "Metadata Server for VM",
      "content-type": "text/html",
    });
    const { payload, protectedHeader } = await jwtVerify(reply.body, createLocalJWKSet(keys.jwks()), {
      issuer: "https://accounts.google.com",
      audience: AUDIENCE,
    });
    expect(protectedHeader).toEqual({ alg: "RS256", typ: "JWT", kid: keys.jwks().keys[0]?.kid });
    expect(payload.exp).toBe((payload.iat ?? 0) + 3600);
    expect(payload.sub).toMatch(/^1\d{20}$/);
    expect(payload.azp).toBe(payload.sub);
  });

  it("names the account's email only in the full format", async () => {
    const server = await start();
    const full = decodeJwt((await get(server, identityPath(AUDIENCE))).body);
    expect(full).toMatchObject({ email: EMAIL, email_verified: true });
    expect(full).not.toHaveProperty("google");
    for (const rest of ["", "&format=standard"]) {
      expect(decodeJwt((await get(server, identityPath(AUDIENCE, rest))).body)).not.toHaveProperty("email");
    }
  });

  it("describes a virtual machine in its full tokens, and the licenses where asked", async () => {
    const server = await start({ platform: "gce" });
    const machine = async (rest: string) => {
      const claims = decodeJwt((await get(server, identityPath(AUDIENCE, rest))).body);
      return (claims.google as { compute_engine: Record<string, unknown> } | undefined)?.compute_engine;
    };
    expect(await machine("&format=full")).toHaveProperty("instance_id");
    expect(await machine("&format=full")).not.toHaveProperty("license_id");
    expect(await machine("&format=full&licenses=TRUE")).toHaveProperty("license_id");
    expect(await machine("&format=standard")).toBeUndefined();
  });

  it("knows the account by default, by email, and no other", async () => {
    const server = await start();
    for (const account of ["default", EMAIL, encodeURIComponent(EMAIL)]) {
      expect((await get(server, `${ACCOUNTS}/${account}/email`)).body).toBe(EMAIL);
      expect((await get(server, identityPath(AUDIENCE, "", account))).status).toBe(200);
    }
    const other = await get(server, identityPath(AUDIENCE, "", "other@my-project.iam.gserviceaccount.com"));
    expect(other.status).toBe(404);
    expect((await get(server, `${ACCOUNTS}/`)).body).toBe(`default/\n${EMAIL}/\n`);
  });

  it("hands out an opaque access token", async () => {
    const server = await start();
    const token = JSON.parse((await get(server, `${ACCOUNTS}/default/token`)).body) as Record<string, unknown>;
    expect(token).toMatchObject({ expires_in: 3599, token_type: "Bearer" });
    expect(token.access_token).toMatch(/^ya29\.c\.[\w-]{100,}$/);
  });

  it("refuses a request without the flavor header, except for its root", async () => {
    const server = await start();
    for (const headers of [{}, { "Metadata-Flavor": "google" }]) {
      const reply = await get(server, identityPath(AUDIENCE), headers);
      expect(reply.status).toBe(403);
      expect(reply.headers["content-type"]).toBe("text/html; charset=UTF-8");
      expect(reply.body).toContain("Missing Metadata-Flavor:Google header.");
    }
    expect((await get(server, "/a&b", {})).body).toContain("<code>/a&#38;b</code>");
    const root = await get(server, "/", {});
    expect(root.status).toBe(200);
    expect(root.headers["metadata-flavor"]).toBe("Google");
  });

  it("refuses a forwarded request even with the flavor header", async () => {
    const server = await start();
    const reply = await get(server, identityPath(AUDIENCE), { ...FLAVOR, "X-Forwarded-For": "10.0.0.1" });
    expect(reply.status).toBe(403);
    expect(reply.body).not.toContain("eyJ");
  });

  it("answers 400 without an audience and 404 for what it does not have", async () => {
    const server = await start();
    for (const path of [`${ACCOUNTS}/default/identity`, identityPath("")]) {
      const reply = await get(server, path);
      expect([reply.status, reply.body]).toEqual([400, "non-empty audience parameter required\n"]);
    }
    const paths = ["/computeMetadata/v1/", `${ACCOUNTS}/default/nothing`, `${ACCOUNTS}/default/email/x`, "//", "/%zz"];
    for (const path of paths) expect((await get(server, path)).status, path).toBe(404);
    expect((await get(server, "/a&b<c>")).body).toContain("<code>/a&#38;b%3Cc%3E</code>");
  });

  it("returns the same token until five minutes of its life remain, then a fresh one", async () => {
    let nowMs = START_MS;
    const server = await start({ now: () => nowMs });
    const token = async (audience = AUDIENCE) => (await get(server, identityPath(audience))).body;
    const first = await token();
    expect(decodeJwt(first).exp).toBe(START_MS / 1000 + 3600);

    nowMs = START_MS + 3_299_000;
    expect(await token()).toBe(first);
    expect(await token("https://other.a.run.app")).not.toBe(first);

    nowMs = START_MS + 3_300_000;
    const second = await token();
    expect(second).not.toBe(first);
    expect(decodeJwt(second).exp).toBe(START_MS / 1000 + 3300 + 3600);
  });

  it("keeps formats apart", async () => {
    const server = await start();
    const full = await get(server, identityPath(AUDIENCE));
    const standard = await get(server, identityPath(AUDIENCE, ""));
    expect(standard.body).not.toBe(full.body);
  });

  it("issues tokens of the lifetime asked for", async () => {
    const server = await start({ tokenLifetimeSec: 30 });
    const { iat = 0, exp } = decodeJwt((await get(server, identityPath(AUDIENCE))).body);
    expect(exp).toBe(iat + 30);
  });

  it("logs the identity requests with their audience and time", async () => {
    const server = await start({ now: () => START_MS });
    await get(server, identityPath(AUDIENCE));
    await get(server, `${ACCOUNTS}/default/email`);
    await get(server, `${ACCOUNTS}/default/identity`);
    expect(server.requests).toEqual([
      { audience: AUDIENCE, at: START_MS },
      { audience: undefined, at: START_MS },
    ]);
  });

  it("answers wrongly where a fault says so, and only there", async () => {
    const server = await start({
      fault: ({ audience }) =>
        audience === AUDIENCE
          ? { status: 503, body: "try later", headers: { "metadata-flavor": undefined, "retry-after": "1" } }
          : undefined,
    });
    const faulty = await get(server, identityPath(AUDIENCE));
    expect([faulty.status, faulty.body, faulty.headers["retry-after"]]).toEqual([503, "try later", "1"]);
    expect(faulty.headers).not.toHaveProperty("metadata-flavor");
    expect((await get(server, identityPath("https://other.a.run.app"))).status).toBe(200);
  });

  it("ends requests that hang or wait when it is closed", async () => {
    for (const fault of [{ hang: true }, { delayMs: 600_000 }]) {
      const server = await start({ fault: () => fault });
      const answer = get(server, identityPath(AUDIENCE));
      const failed = expect(answer).rejects.toThrow("socket hang up");
      await expect.poll(() => server.requests.length).toBe(1);
      await server.close();
      await failed;
    }
  });
});

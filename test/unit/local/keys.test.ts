import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from "jose";
import { describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../../shim/local/ca.js";
import { JWKS_PATH, startJwks } from "../../../shim/local/jwks.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { closedAfterEach, send } from "./support.js";

const keep = closedAfterEach();

describe("the key set", () => {
  it("signs what its published keys verify, and publishes nothing private", async () => {
    const keys = await createKeySet();
    const { payload } = await jwtVerify(await keys.sign({ sub: "me" }), createLocalJWKSet(keys.jwks()));
    expect(payload).toEqual({ sub: "me" });
    const [published] = keys.jwks().keys;
    expect(Object.keys(published ?? {}).sort()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
  });

  it("signs with a new key after a rotation and still publishes the one before, but no older one", async () => {
    const keys = await createKeySet();
    const tokens = [await keys.sign({})];
    await keys.rotate();
    tokens.push(await keys.sign({}));
    const published = () => keys.jwks().keys.map(({ kid }) => kid);
    const [first, second] = tokens.map((token) => decodeProtectedHeader(token).kid);
    expect(second).not.toBe(first);
    expect(published()).toEqual([second, first]);
    await keys.rotate();
    expect(published()).toHaveLength(2);
    expect(published()).not.toContain(first);
  });
});

describe("the JWKS endpoint", () => {
  it("serves the key set of the moment, cacheable for hours", async () => {
    const keys = await createKeySet();
    const server = await keep(startJwks({ keys: keys.jwks }));
    const before = await send(server.origin, JWKS_PATH);
    expect(before.headers).toMatchObject({
      "content-type": "application/json; charset=UTF-8",
      "cache-control": "public, max-age=21600, must-revalidate, no-transform",
    });
    expect(JSON.parse(before.body)).toEqual(keys.jwks());
    await keys.rotate();
    const after = JSON.parse((await send(server.origin, JWKS_PATH)).body) as JSONWebKeySet;
    expect(after.keys).toHaveLength(2);
    expect(server.requests()).toBe(2);
  });

  it("serves it over TLS where it has a certificate", async () => {
    const authority = await createCertificateAuthority();
    const tls = await authority.issue({ dnsNames: ["www.googleapis.com"] });
    const keys = await createKeySet();
    const server = await keep(startJwks({ keys: keys.jwks, tls }));
    const options = { ca: authority.certificate, servername: "www.googleapis.com" };
    expect((await send(server.origin, JWKS_PATH, options)).status).toBe(200);
  });

  it("has no other path and no other method", async () => {
    const server = await keep(startJwks({ keys: (path) => (path === JWKS_PATH ? { keys: [] } : undefined) }));
    expect((await send(server.origin, "/oauth2/v1/certs")).status).toBe(404);
    expect((await send(server.origin, JWKS_PATH, { method: "POST" })).status).toBe(404);
    expect(server.requests()).toBe(0);
  });
});

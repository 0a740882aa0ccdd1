import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Mesh, Validator } from "../../../shim/config/model.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { Callers, isChoosy, validatorsOn } from "../../../shim/local/callers.js";
import { Issuers } from "../../../shim/local/issuers.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { WorkFiles } from "../../../shim/local/work-files.js";
import { EXAMPLE } from "../config/example.js";

const IAP =
  "  iap: { issuers: [https://cloud.google.com/iap], audiences: [/projects/1/apps/a], emails: ['*'], algorithm: ES256,\n" +
  "         header: x-goog-iap-jwt-assertion, jwks: { host: www.gstatic.com, path: /iap/verify/public_key-jwk }, maxLifetimeSec: 120 }\n";
const mesh: Mesh = parseMesh(
  EXAMPLE.replace("validators:\n", `validators:\n${IAP}`).replace("edge: true }", "edge: true, validate: iap }"),
  "hopgate.yaml",
);
const keys = { RS256: await createKeySet("RS256"), ES256: await createKeySet("ES256") };

let folder: string;
let callers: Callers;
let issuers: Issuers;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hopgate-callers-"));
  issuers = new Issuers(keys);
  callers = new Callers({ issuers, files: new WorkFiles(folder) });
});

afterEach(async () => {
  await callers.close();
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

function ofRoute(index: number): readonly Validator[] {
  const route = mesh.routes[index];
  if (route === undefined) throw new Error("no such route");
  return validatorsOn(mesh, route);
}

describe("the issuers", () => {
  it("publish keys where the validators look, of the kind that each wants, and nowhere else", () => {
    expect(issuers.keySetAt("www.googleapis.com", "/oauth2/v3/certs")).toBeUndefined();
    issuers.publish(mesh);
    const kinds = (host: string, path: string) => issuers.keySetAt(host, path)?.keys.map(({ kty }) => kty);
    expect(kinds("www.googleapis.com", "/oauth2/v3/certs")).toEqual(["RSA"]);
    expect(kinds("www.gstatic.com", "/iap/verify/public_key-jwk")).toEqual(["EC"]);
    expect(kinds("www.gstatic.com", "/oauth2/v3/certs")).toBeUndefined();
  });

  it("publish both kinds at a place where both are wanted, and no key twice", () => {
    const both = parseMesh(
      EXAMPLE.replace("validators:\n", `validators:\n${IAP.replace(/jwks: \{.*?\}, /s, "")}`),
      "hopgate.yaml",
    );
    issuers.publish(both);
    issuers.publish(both);
    expect(
      issuers
        .keySetAt("www.googleapis.com", "/oauth2/v3/certs")
        ?.keys.map(({ kty }) => kty)
        .sort(),
    ).toEqual(["EC", "RSA"]);
  });
});

describe("a caller", () => {
  it("has a token in each header where somebody looks, each signed with a published key", async () => {
    issuers.publish(mesh);
    const headers = await callers.headersFor(ofRoute(2), "allowed");
    expect(Object.keys(headers).sort()).toEqual(["authorization", "x-goog-iap-jwt-assertion"]);
    const google = createLocalJWKSet(issuers.keySetAt("www.googleapis.com", "/oauth2/v3/certs") ?? { keys: [] });
    const { payload } = await jwtVerify((headers.authorization ?? "").replace(/^Bearer /, ""), google);
    expect(payload).toMatchObject({
      iss: "https://accounts.google.com",
      aud: "https://ai-platform.example.internal",
      email: "orchestrator@my-project.iam.gserviceaccount.com",
      email_verified: true,
    });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600);
    const iap = createLocalJWKSet(issuers.keySetAt("www.gstatic.com", "/iap/verify/public_key-jwk") ?? { keys: [] });
    const assertion = await jwtVerify(headers["x-goog-iap-jwt-assertion"] ?? "", iap);
    expect(assertion.payload.email_verified).toBeUndefined();
    expect((assertion.payload.exp ?? 0) - (assertion.payload.iat ?? 0)).toBe(120);
  });

  it("is a stranger where its address is on no list, and has nothing where it is anonymous", async () => {
    const { authorization = "" } = await callers.headersFor(ofRoute(2), "stranger");
    expect(decodeJwt(authorization.replace(/^Bearer /, "")).email).toBe(callers.addressOf(ofRoute(2), "stranger"));
    expect(await callers.headersFor(ofRoute(2), "anonymous")).toEqual({});
    expect(callers.addressOf(ofRoute(2), "anonymous")).toBeUndefined();
  });

  it("has nothing where nobody checks, and cannot be a stranger where all are let in", async () => {
    expect(await callers.headersFor([], "allowed")).toEqual({});
    expect(isChoosy(ofRoute(0))).toBe(false);
    expect(isChoosy(ofRoute(2))).toBe(true);
  });
});

describe("the files with headers", () => {
  it("hold what a caller sends, for each set of validators, for their owner alone", async () => {
    await callers.follow(mesh);
    const text = readFileSync(callers.fileFor(ofRoute(2)), "utf8");
    expect(text).toMatch(/^x-goog-iap-jwt-assertion: eyJ\S+\nauthorization: Bearer eyJ\S+\n$/);
    expect(readFileSync(callers.fileFor(ofRoute(0)), "utf8")).toMatch(/^x-goog-iap-jwt-assertion: eyJ\S+\n$/);
    expect(statSync(callers.fileFor(ofRoute(0))).mode & 0o777).toBe(0o600);
  });

  it("are renewed when half of the shortest life is over, until the end", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setInterval", "clearInterval"] });
    await callers.follow(mesh);
    const expiry = (): number => {
      const [, token = ""] = readFileSync(callers.fileFor(ofRoute(0)), "utf8")
        .trim()
        .split(": ");
      return decodeJwt(token).exp ?? 0;
    };
    const first = expiry();
    vi.advanceTimersByTime(59_000);
    expect(expiry()).toBe(first);
    vi.advanceTimersByTime(2_000);
    await vi.waitFor(() => expect(expiry()).toBeGreaterThanOrEqual(first + 60));
    await callers.close();
    const last = expiry();
    vi.advanceTimersByTime(600_000);
    await callers.close();
    expect(expiry()).toBe(last);
  });
});

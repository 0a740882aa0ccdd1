import { describe, expect, it } from "vitest";

import type { Validator } from "../../../shim/config/model.js";
import { duration, faultsOf, tokenFor } from "../../../shim/doctor/token.js";
import { sample } from "../render/istio/sample.js";
import { NOW_MS } from "./support.js";

const VALIDATOR = validator();
const NOW_SEC = NOW_MS / 1000;
const CLAIMS = {
  iss: "https://accounts.google.com",
  aud: "https://shop.example.internal",
  iat: NOW_SEC - 60,
  exp: NOW_SEC + 3000,
  email: "a@b.iam.gserviceaccount.com",
  email_verified: true,
};

function validator(emails = "[a@b.iam.gserviceaccount.com]"): Validator {
  const mesh = sample({
    more: `validators: { google: { audiences: [https://shop.example.internal], emails: ${emails} } }\n`,
  });
  const found = mesh.validators.get("google");
  if (found === undefined) throw new Error("no validator");
  return found;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function faults(claims: object, { alg = "RS256", signature = "c2ln", of = VALIDATOR } = {}): readonly string[] {
  const value = `Bearer ${encode({ alg })}.${encode({ ...CLAIMS, ...claims })}.${signature}`;
  const token = tokenFor(of, [["authorization", value]]);
  if (token === undefined) throw new Error("no token");
  return faultsOf(token, of, NOW_MS);
}

describe("a caller's token", () => {
  it("that is as the validator wants it has no fault", () => {
    expect(faults({})).toEqual([]);
  });

  it.each([
    ["that has expired", { exp: NOW_SEC - 600 }, "it expired 10 min ago"],
    ["that is not valid yet", { nbf: NOW_SEC + 600 }, "it is valid in 10 min"],
    ["without expiry", { exp: undefined }, "it has no expiry"],
    ["that lasts too long", { iat: NOW_SEC - 60, exp: NOW_SEC + 90_000 }, "it lasts 25 h, more than 61 min"],
    ["of another issuer", { iss: "https://x.example" }, "its issuer is https://x.example"],
    ["for another audience", { aud: "https://shop.example" }, "its audience is https://shop.example, not"],
    ["without e-mail address", { email: undefined }, "it has no e-mail address"],
    ["whose address is not verified", { email_verified: false }, "its e-mail address is not verified"],
    ["of somebody else", { email: "x@y.example" }, "its e-mail address is not one of the validator's"],
  ])("%s is told so", (_what, claims, fault) => {
    expect(faults(claims)).toEqual([expect.stringContaining(fault)]);
  });

  it("is taken for a while after it has expired, as the filter does", () => {
    expect(faults({ exp: NOW_SEC - 30 })).toEqual([]);
  });

  it("with another algorithm is told so", () => {
    expect(faults({}, { alg: "none" })).toEqual(["its algorithm is none, not RS256"]);
  });

  it("whose signature Cloud Run has taken away is told only that", () => {
    expect(faults({ exp: 1 }, { signature: "SIGNATURE_REMOVED_BY_GOOGLE" })).toEqual([
      "Cloud Run has taken its signature away",
    ]);
  });

  it("of anybody is good where anybody may call", () => {
    const anybody = validator('["*"]');
    expect(faults({ email: undefined }, { of: anybody })).toEqual([]);
    expect(faults({ email: "x@y.example" }, { of: anybody })).toEqual([]);
  });

  it("is looked for where the filter looks: Cloud Run's header first, or the one that the validator names", () => {
    const headers = [
      ["authorization", "Basic eA=="],
      ["x-serverless-authorization", "Bearer x"],
      ["x-token", `${encode({})}.${encode({})}.x`],
    ] as const;
    expect(tokenFor({ header: undefined }, headers)).toMatchObject({
      header: "x-serverless-authorization",
      fault: "it is no JWT",
    });
    expect(tokenFor({ header: "X-Token" }, headers)).toMatchObject({ header: "x-token", fault: undefined });
    expect(tokenFor({ header: "authorization" }, headers)).toMatchObject({ fault: "it is no Bearer token" });
    expect(tokenFor({ header: "x-other" }, headers)).toBeUndefined();
  });
});

it("a duration has the unit that it is read in", () => {
  expect([0, 119, 120, 7199, 7200].map(duration)).toEqual(["0 s", "119 s", "2 min", "120 min", "2 h"]);
});

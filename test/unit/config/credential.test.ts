import { describe, expect, it } from "vitest";
import { carriersOf, credentialsFor, type Demands, headerValue } from "../../../shim/config/credential.js";

function demands(fields: Partial<Demands> = {}): Demands {
  return {
    issuers: ["https://accounts.google.com"],
    audiences: ["https://a.example", "https://b.example"],
    emails: ["a@b.c", "d@e.f"],
    algorithm: "RS256",
    header: undefined,
    maxLifetimeSec: 3660,
    ...fields,
  };
}

describe("the headers that validators look into", () => {
  it.each([
    [[undefined], ["authorization"]],
    [
      ["X-JWT", undefined],
      ["x-jwt", "authorization"],
    ],
    [
      [undefined, "X-Serverless-Authorization"],
      ["x-serverless-authorization", "x-serverless-authorization"],
    ],
  ])("%j: %j", (headers, carriers) => {
    expect(carriersOf(headers.map((header) => ({ header })))).toEqual(carriers);
  });
});

describe("a caller's credentials", () => {
  it("are one token for all who look into the same header, short enough for each", () => {
    const strict = demands({ audiences: ["https://b.example"], emails: ["d@e.f"], maxLifetimeSec: 60 });
    expect(credentialsFor([demands(), strict])).toEqual([
      {
        header: "authorization",
        algorithm: "RS256",
        issuer: "https://accounts.google.com",
        audience: "https://b.example",
        email: "d@e.f",
        maxLifetimeSec: 60,
      },
    ]);
  });

  it("name a caller only where one is asked for", () => {
    expect(credentialsFor([demands({ emails: ["*"] })])?.[0]?.email).toBeUndefined();
    expect(credentialsFor([demands({ emails: ["*"] }), demands()])?.[0]?.email).toBe("a@b.c");
  });

  it("are one for each header", () => {
    const credentials = credentialsFor([demands(), demands({ header: "x-jwt", algorithm: "ES256" })]);
    expect(credentials?.map(({ header, algorithm }) => [header, algorithm])).toEqual([
      ["authorization", "RS256"],
      ["x-jwt", "ES256"],
    ]);
  });

  it("are none where nobody checks", () => {
    expect(credentialsFor([])).toEqual([]);
  });

  it.each([
    [{ audiences: ["https://c.example"] }],
    [{ issuers: ["https://other.example"] }],
    [{ emails: ["g@h.i"] }],
    [{ algorithm: "ES256" }],
  ] as const)("do not exist where two have nothing in common: %j", (fields) => {
    expect(credentialsFor([demands(), demands(fields)])).toBeUndefined();
  });
});

it("a scheme stands in front of the token only in the headers that have one", () => {
  expect(headerValue({ header: "authorization" }, "t")).toBe("Bearer t");
  expect(headerValue({ header: "x-serverless-authorization" }, "t")).toBe("Bearer t");
  expect(headerValue({ header: "x-goog-iap-jwt-assertion" }, "t")).toBe("t");
});

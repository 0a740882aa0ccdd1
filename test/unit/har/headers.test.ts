import { describe, expect, it } from "vitest";
import { shareableHeaders } from "../../../shim/har/headers.js";

describe("headers that are passed on", () => {
  it.each([
    ["Authorization", "Basic eA=="],
    ["proxy-authorization", "x"],
    ["x-serverless-authorization", "x"],
    ["cookie", "a=b"],
    ["set-cookie", "a=b"],
    ["x-hopgate-trace", "x"],
    ["x-api-key", "x"],
    ["x-goog-iam-authority-selector", "x"],
    ["X-Amz-Security-Token", "x"],
    ["x-forwarded-client-cert", "x"],
    ["x-user", "Bearer x"],
    ["x-user", "Token x"],
    ["x-user", "ApiKey x"],
    ["x-otp", "x"],
    ["x-pin", "x"],
    ["x-db-pwd", "x"],
    ["connect.sid", "x"],
    ["x-device-code", "x"],
    ["x-user", "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.x"],
  ])("are without %s: %s", (name, value) => {
    expect(shareableHeaders([[name, value]])).toEqual([]);
  });

  it("are otherwise as they were, in their order", () => {
    const headers = [
      ["host", "a.example"],
      ["server-timing", "app;dur=1"],
      ["content-type", "application/json"],
      ["sec-ch-ua-mobile", "?0"],
      ["accept-encoding", "gzip"],
    ] as const;
    expect(shareableHeaders(headers)).toEqual(headers.map(([name, value]) => ({ name, value })));
  });

  it("have URLs without their queries", () => {
    expect(shareableHeaders([["location", "https://u@a.example/b?code=c#d"]])).toEqual([
      { name: "location", value: "https://a.example/b" },
    ]);
    const link = '<https://u:S3CRET@a.example/b?t=S3CRET>; rel="next", </c#t=S3CRET>; rel="last"';
    expect(
      shareableHeaders([
        ["link", link],
        ["refresh", "0; url=https://a.example/b?a=b;t=S3CRET"],
      ]).map(({ value }) => value),
    ).toEqual(['<https://a.example/b>; rel="next", </c>; rel="last"', "0; url=https://a.example/b"]);
  });
});

import { describe, expect, test } from "vitest";
import type { Headers } from "../../../shim/emulator/pairs.js";
import { answered, KB, KB_AUDIENCE, oneRoute, refusal, send, warmFilter } from "../../support/filter.js";

describe("the header", () => {
  test.each([
    ["auto", [], "authorization"],
    ["auto", [["authorization", "Basic abc"]], "x-serverless-authorization"],
    ["auto", [["authorization", ""]], "x-serverless-authorization"],
    ["authorization", [["authorization", "Basic abc"]], "authorization"],
    ["x-serverless-authorization", [], "x-serverless-authorization"],
    ["x-serverless-authorization", [["authorization", "Basic abc"]], "x-serverless-authorization"],
  ] as const)("%s with %j is %s", async (header, sent, expected) => {
    const proxy = await warmFilter(oneRoute({ token: { audience: KB_AUDIENCE, header } }));
    const stream = send(proxy, KB, sent);
    const other = expected === "authorization" ? "x-serverless-authorization" : "authorization";
    expect(stream.requestHeader(expected)).toMatch(/^Bearer ey/);
    expect(stream.requestHeader(other)).toBe(expected === "authorization" ? undefined : sent[0]?.[1]);
  });

  test("replaces what the caller put into x-serverless-authorization, in any number", async () => {
    const proxy = await warmFilter();
    const forged: Headers = [
      ["x-serverless-authorization", "Bearer a"],
      ["X-Serverless-Authorization", "Bearer b"],
    ];
    const auto = send(proxy, KB, forged);
    expect(auto.requestHeaders?.filter(([name]) => name === "x-serverless-authorization")).toEqual([]);
    const both = send(proxy, KB, [...forged, ["authorization", "Basic abc"]]);
    const sent = both.requestHeaders?.filter(([name]) => name === "x-serverless-authorization") ?? [];
    expect(sent.map(([, value]) => value.slice(0, 9))).toEqual(["Bearer ey"]);
    expect(both.requestHeader("authorization")).toBe("Basic abc");
  });

  test("does not keep the header of a held request from the request before it on the same context object", async () => {
    const proxy = await warmFilter();
    answered(send(proxy, KB, [["authorization", "Basic abc"]]));
    expect(send(proxy, KB).requestHeader("authorization")).toMatch(/^Bearer ey/);
  });

  test("is not added where the backend has no token, and the caller's is left alone there", async () => {
    const proxy = await warmFilter();
    const stream = send(proxy, "llm.example.internal", [
      ["x-serverless-authorization", "Bearer a"],
      ["authorization", "b"],
    ]);
    expect(stream.requestHeader("x-serverless-authorization")).toBe("Bearer a");
    expect(stream.requestHeader("authorization")).toBe("b");
  });

  test.each([
    [[["upgrade", "websocket"]], undefined],
    [[["upgrade", "WebSocket"]], undefined],
    [[["upgrade", "h2c"]], "upgrade_unsupported"],
    [
      [
        ["upgrade", "websocket"],
        ["upgrade", "h2c"],
      ],
      "upgrade_unsupported",
    ],
    [[["upgrade", "connect-udp"]], "upgrade_unsupported"],
    [[["upgrade", "websocket2"]], "upgrade_unsupported"],
  ] as const)("with %j the answer is %s", async (headers, expected) => {
    const proxy = await warmFilter();
    const stream = send(proxy, KB, headers);
    expect(refusal(stream)).toBe(expected);
    expect(stream.requestHeader("authorization")?.slice(0, 9)).toBe(expected === undefined ? "Bearer ey" : undefined);
    // Without a token there is nothing to abuse.
    expect(refusal(send(proxy, "llm.example.internal", headers))).toBeUndefined();
  });

  test("is never given to CONNECT", async () => {
    const proxy = await warmFilter();
    const stream = proxy.stream({
      headers: [
        [":method", "CONNECT"],
        [":authority", `${KB}:443`],
      ],
    });
    expect(refusal(stream)).toBe("upgrade_unsupported");
  });
});

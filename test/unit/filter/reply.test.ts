import { describe, expect, test } from "vitest";
import type { Headers } from "../../../shim/emulator/pairs.js";
import {
  KB,
  LLM,
  METADATA,
  pluginConfig,
  requestTo,
  send,
  startFilter,
  valueOf,
  warmFilter,
} from "../../support/filter.js";

describe("the filter's own answer", () => {
  test("is a problem document with its code, and timed like any other", async () => {
    const proxy = await startFilter(pluginConfig({ timing: { expose: "always" } }));
    const stream = send(proxy, "a,b");
    expect(stream.response?.headers).toEqual([
      [":status", "400"],
      ["content-type", "application/problem+json"],
      ["x-hopgate-error", "host_invalid"],
      ["content-length", String(stream.response?.body.length)],
      ["server-timing", "ingress;dur=0.000, ingress-upstream;dur=0.000"],
    ]);
    expect(JSON.parse(stream.response?.body.toString() ?? "")).toEqual({
      type: "about:blank",
      title: "Bad Request",
      status: 400,
      code: "host_invalid",
      detail: "The host of the request is not a valid host name.",
    });
    expect(stream.localReply?.details).toBe("hopgate_host_invalid");
  });

  const rows: [string, number, string, Headers, string, number][] = [
    ["host_invalid", 400, "a b", [], "Bad Request", 3],
    ["route_unmatched", 404, "other.example", [], "Not Found", 5],
    ["upgrade_unsupported", 400, KB, [["upgrade", "h2c"]], "Bad Request", 12],
    ["token_unavailable", 503, KB, [], "Service Unavailable", 14],
  ];

  test.each(rows)("%s is %i", async (code, status, authority, headers, title) => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }), { clusters: {} });
    proxy.advance(20);
    const stream = send(proxy, authority, headers);
    expect(stream.response?.status).toBe(status);
    expect(stream.responseHeader("x-hopgate-error")).toBe(code);
    expect(stream.localReply?.details).toBe(`hopgate_${code}`);
    const problem = JSON.parse(stream.response?.body.toString() ?? "") as Record<string, unknown>;
    expect(problem).toMatchObject({ type: "about:blank", title, status, code });
    expect(problem["detail"]).toMatch(/^[A-Z].*\.$/);
    expect(stream.responseHeader("retry-after")).toBe(code === "token_unavailable" ? "1" : undefined);
  });

  test.each(rows)("%s has a gRPC status for gRPC", async (code, _status, authority, headers, _title, grpcStatus) => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }), { clusters: {} });
    proxy.advance(20);
    const stream = send(proxy, authority, [["content-type", "application/grpc"], ...headers]);
    expect(stream.response?.status).toBe(200);
    expect(stream.responseHeader("grpc-status")).toBe(String(grpcStatus));
    expect(stream.responseHeader("x-hopgate-error")).toBe(code);
  });

  test("has no body for HEAD", async () => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }));
    const stream = proxy.stream({
      headers: requestTo("other.example").map(([name, value]) => [name, name === ":method" ? "HEAD" : value] as const),
    });
    expect(stream.response?.status).toBe(404);
    expect(stream.response?.body).toHaveLength(0);
  });

  test("never reaches an upstream, and ends the stream", async () => {
    const stream = send(await startFilter(pluginConfig({ unmatched: "reject" })), "other.example");
    expect(stream.requestHeaders).toBeUndefined();
    expect(stream.ended).toBe(true);
    expect(stream.paused).toBe(false);
  });

  test("echoes nothing of the request", async () => {
    const proxy = await warmFilter(pluginConfig({ unmatched: "reject" }), { clusters: { [METADATA]: "ok" } });
    const stream = send(proxy, "canary-value.example", [
      ["authorization", "canary-value"],
      ["x-request-id", "canary-value"],
    ]);
    const { headers, body } = stream.response ?? { headers: [], body: Buffer.alloc(0) };
    expect(JSON.stringify(headers) + body.toString()).not.toContain("canary-value");
    expect(valueOf(headers, "x-hopgate-error")).toBe("route_unmatched");
  });

  test("of an upstream with the same status is left as it is", async () => {
    const stream = send(await startFilter(), LLM);
    const response = stream.respond(
      [
        [":status", "404"],
        ["content-type", "text/html"],
      ],
      { body: "gone" },
    );
    expect(response?.headers).toEqual([
      [":status", "404"],
      ["content-type", "text/html"],
    ]);
    expect(response?.body.toString()).toBe("gone");
  });
});

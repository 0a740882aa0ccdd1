import { describe, expect, test } from "vitest";
import type { Headers } from "../../../shim/emulator/pairs.js";
import { KB, LLM, oneRoute, pluginConfig, refusal, send, startFilter } from "../../support/filter.js";

const FORGED: Headers = [
  ["x-hopgate-backend", "kb"],
  ["X-Hopgate-Caller", "admin"],
  ["x-hopgate-caller", "root"],
  ["x-hopgate-path", "front"],
  ["x-hopgate-trace", "secret"],
  ["x-hopgate-timing", "a;dur=1.0"],
  ["x-hopgate-", "bare"],
  ["x-hopgate-new", "unknown"],
  ["x-hopgat", "not ours"],
  ["x-hopgatex", "not ours"],
];
const own = (headers: Headers | undefined): Headers => headers?.filter(([name]) => name.startsWith("x-hopgate-")) ?? [];

describe("an edge", () => {
  test("removes everything that looks like ours, and says itself what is true", async () => {
    const stream = send(await startFilter(), LLM, FORGED);
    expect(own(stream.requestHeaders)).toEqual([
      ["x-hopgate-path", "ingress"],
      ["x-hopgate-backend", "llm"],
    ]);
    expect(stream.requestHeaders).toContainEqual(["x-hopgat", "not ours"]);
    expect(stream.requestHeaders).toContainEqual(["x-hopgatex", "not ours"]);
  });

  test("does so on an unmatched host, too", async () => {
    const stream = send(await startFilter(), "other.example", FORGED);
    expect(own(stream.requestHeaders)).toEqual([["x-hopgate-path", "ingress"]]);
  });

  test("removes as many of them as there are", async () => {
    const many: Headers = Array.from({ length: 90 }, (_, i) => [`x-hopgate-${i}`, "forged"]);
    const repeated: Headers = Array.from({ length: 90 }, () => ["x-hopgate-backend", "kb"]);
    for (const headers of [many, repeated]) {
      const forwarded = send(await startFilter(), LLM, headers).requestHeaders;
      expect(own(forwarded)).toHaveLength(2);
      expect(forwarded).toContainEqual(["x-hopgate-backend", "llm"]);
    }
  });

  test("among 500 other headers", async () => {
    const noise: Headers = Array.from({ length: 500 }, (_, i) => [`x-noise-${i}`, "n".repeat(50)]);
    const stream = send(await startFilter(), LLM, [...noise, ...FORGED, ["x-last", "1"]]);
    expect(own(stream.requestHeaders)).toHaveLength(2);
    expect(stream.requestHeaders).toHaveLength(4 + 500 + 2 + 2 + 1);
  });
});

describe("an inner hop", () => {
  const inner = pluginConfig({ hop: "agents", edge: false });

  test("removes backend and caller, and lets the rest pass", async () => {
    const stream = send(await startFilter(inner), LLM, FORGED);
    expect(own(stream.requestHeaders)).toEqual([
      ["x-hopgate-trace", "secret"],
      ["x-hopgate-timing", "a;dur=1.0"],
      ["x-hopgate-", "bare"],
      ["x-hopgate-new", "unknown"],
      ["x-hopgate-path", "front,agents"],
      ["x-hopgate-backend", "llm"],
    ]);
  });

  test("keeps the key to itself where it tells the time to whoever has it", async () => {
    const proxy = await startFilter({ ...inner, timing: { expose: "trace", key: "secret" } });
    expect(send(proxy, LLM, [["x-hopgate-trace", "secret"]]).requestHeader("x-hopgate-trace")).toBeUndefined();
    expect(send(proxy, LLM, [["x-hopgate-trace", "other"]]).requestHeader("x-hopgate-trace")).toBe("other");
  });

  test("removes them on an unmatched host, too", async () => {
    const stream = send(await startFilter(inner), "other.example", FORGED.slice(0, 3));
    expect(own(stream.requestHeaders)).toEqual([["x-hopgate-path", "agents"]]);
  });

  test.each([
    [undefined, "agents"],
    ["", "agents"],
    ["a", "a,agents"],
    ["a,b,c,d,e,f", "a,b,c,d,e,f,agents"],
    ["a,b,c,d,e,f,g", "a,b,c,d,e,f,g,agents"],
    ["a,b,c,d,e,f,g,h", "a,b,c,d,e,f,g,h"],
    [",,,,,,,", ",,,,,,,"],
    ["x".repeat(2000), "x".repeat(2000)],
  ])("stamps itself behind %j", async (before, after) => {
    const stream = send(await startFilter(inner), LLM, before === undefined ? [] : [["x-hopgate-path", before]]);
    expect(stream.requestHeader("x-hopgate-path")).toBe(after);
  });
});

describe("spelled with underscores, which CGI and WSGI take for hyphens", () => {
  const spelled: Headers = [
    ["x_hopgate_caller", "root"],
    ["x-hopgate_caller", "root"],
    ["X_Hopgate-Caller", "root"],
    ["x_hopgate_backend", "kb"],
    ["x_hopgate-new", "root"],
    ["x-hopgate-new_one", "root"],
  ];

  test.each([true, false])("what is ours is removed on every hop (edge: %s)", async (edge) => {
    for (const host of [LLM, "other.example"]) {
      const stream = send(await startFilter(pluginConfig({ edge })), host, [...spelled, ["x_hop_gate_caller", "else"]]);
      const left = stream.requestHeaders?.filter(([name]) => name.includes("_"));
      expect(left).toEqual([["x_hop_gate_caller", "else"]]);
    }
  });
});

describe("an inbound x-serverless-authorization", () => {
  const credential: Headers = [["x-serverless-authorization", "Bearer callers"]];

  test("stays where nothing is injected", async () => {
    expect(send(await startFilter(), LLM, credential).requestHeader("x-serverless-authorization")).toBe(
      "Bearer callers",
    );
  });

  test("never gets through where a token is injected, also if it is not there yet", async () => {
    const proxy = await startFilter(oneRoute({ token: { audience: "https://a.example" } }));
    const stream = send(proxy, KB, credential);
    expect(stream.paused).toBe(true);
    proxy.advance(20);
    proxy.calls[0]?.fail();
    proxy.advance(20);
    expect(refusal(stream)).toBe("token_unavailable");
    expect(stream.requestHeaders).toBeUndefined();
  });
});

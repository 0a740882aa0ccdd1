/** Envoy follows a redirect by sending the request through the filter again, with the headers of the first pass. */
import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { Stream } from "../../../shim/emulator/stream.js";
import type { PluginBackend, PluginConfig } from "../../../shim/render/plugin-config.js";
import {
  answerAll,
  idToken,
  KB,
  KB_AUDIENCE,
  LLM,
  pluginConfig,
  reconfigure,
  send,
  warmFilter,
} from "../../support/filter.js";
import { callTimes } from "../../support/token.js";

const OTHER = "other.example.internal";
const OTHER_AUDIENCE = "https://other-abc123-uc.a.run.app";

function twoServices(
  fields: Partial<PluginConfig> = {},
  kb: PluginBackend = { token: { audience: KB_AUDIENCE } },
): PluginConfig {
  const { routes, backends } = pluginConfig();
  return pluginConfig({
    routes: [
      ...routes,
      { hosts: [OTHER], to: [{ backend: "other", weight: 100 }], open: "callers are checked elsewhere" },
    ],
    backends: { ...backends, kb, other: { token: { audience: OTHER_AUDIENCE } } },
    ...fields,
  });
}

/** The second pass: what the first sent on, to another host. */
function redirected(proxy: Emulator, first: Stream, authority: string): Stream {
  const headers = (first.requestHeaders ?? []).map(([name, value]): [string, string] => [
    name,
    name === ":authority" ? authority : value,
  ]);
  expect(headers.length).toBeGreaterThan(4);
  return proxy.stream({ headers });
}

/** Name, and the audience where the value is a token of ours. */
function credentials(stream: Stream): [string, string][] {
  return (stream.requestHeaders ?? []).flatMap(([name, value]): [string, string][] => {
    if (name !== "authorization" && name !== "x-serverless-authorization") return [];
    const payload = /^Bearer ey[^.]*\.([^.]*)/.exec(value)?.[1];
    const { aud } =
      payload === undefined
        ? { aud: value }
        : (JSON.parse(Buffer.from(payload, "base64url").toString()) as { aud: string });
    return [[name, aud]];
  });
}

describe("a redirect that Envoy follows", () => {
  test("to another service: its token takes the place of the first one's, in the same header", async () => {
    const proxy = await warmFilter(twoServices());
    const first = send(proxy, KB);
    expect(credentials(first)).toEqual([["authorization", KB_AUDIENCE]]);
    expect(credentials(redirected(proxy, first, OTHER))).toEqual([["authorization", OTHER_AUDIENCE]]);
  });

  test("beside a credential of the caller's: that one stays, and only that one counts as the caller's", async () => {
    const proxy = await warmFilter(twoServices());
    const first = send(proxy, KB, [["authorization", "Basic eDp5"]]);
    expect(credentials(redirected(proxy, first, OTHER))).toEqual([
      ["authorization", "Basic eDp5"],
      ["x-serverless-authorization", OTHER_AUDIENCE],
    ]);
  });

  test.each([
    ["a backend without a token", LLM],
    ["a host that no route matches", "nobody.example"],
    ["the same backend", KB],
  ])("to %s: the first token goes", async (_where, authority) => {
    const proxy = await warmFilter(twoServices());
    for (const own of [[], [["authorization", "Basic eDp5"]]] satisfies Headers[]) {
      const first = send(proxy, KB, own);
      const expected: [string, string][] = own.map(([name, value]) => [name, value]);
      if (authority === KB)
        expected.push([own.length === 0 ? "authorization" : "x-serverless-authorization", KB_AUDIENCE]);
      expect(credentials(redirected(proxy, first, authority))).toEqual(expected);
    }
  });

  test("to a bypassed path: the first token goes there, too", async () => {
    const proxy = await warmFilter(twoServices({ bypass: [{ path: "/v1/answers", hosts: [LLM] }] }));
    expect(credentials(redirected(proxy, send(proxy, KB), LLM))).toEqual([]);
  });

  test("from a header that the configuration names", async () => {
    const proxy = await warmFilter(
      twoServices({}, { token: { audience: KB_AUDIENCE, header: "x-serverless-authorization" } }),
    );
    expect(credentials(redirected(proxy, send(proxy, KB), LLM))).toEqual([]);
  });

  test("after the token was refreshed meanwhile: the one before is known, too", async () => {
    const proxy = await warmFilter(twoServices());
    const first = send(proxy, KB);
    let serial = 0;
    callTimes(proxy, 3_400_000, (p) => answerAll(p, { jti: serial++ }), 1000);
    expect(send(proxy, KB).requestHeader("authorization")).not.toBe(first.requestHeader("authorization"));
    expect(credentials(redirected(proxy, first, LLM))).toEqual([]);
  });

  test("after a new configuration that has no such backend any more", async () => {
    const proxy = await warmFilter(twoServices());
    const first = send(proxy, KB);
    expect(reconfigure(proxy, pluginConfig({ routes: [], backends: {} }))).toEqual({ accepted: true });
    expect(credentials(redirected(proxy, first, "nobody.example"))).toEqual([]);
  });
});

describe("a credential of the caller's", () => {
  test("that another hop in the same VM has added is left alone there", async () => {
    const proxy = await warmFilter(twoServices());
    const behind = { ...pluginConfig({ hop: "agents", edge: false }), backends: { llm: {}, kb: {} } };
    expect(proxy.configure({ name: "behind", config: JSON.stringify(behind) })).toEqual({ accepted: true });
    proxy.advance(20);
    const first = send(proxy, KB);
    const second = proxy.stream({ headers: first.requestHeaders ?? [], plugin: "behind" });
    expect(credentials(first)).toEqual([["authorization", KB_AUDIENCE]]);
    expect(credentials(second)).toEqual([["authorization", KB_AUDIENCE]]);
  });

  test.each([
    ["another token for the same audience", `Bearer ${idToken({ jti: "x" })}x`],
    ["the end of one of ours", `Bearer c2lnbmF0dXJl`],
    ["nothing", ""],
    ["a byte", "x"],
  ])("that is %s is left alone", async (_what, value) => {
    const proxy = await warmFilter(twoServices());
    expect(send(proxy, LLM, [["authorization", value]]).requestHeader("authorization")).toBe(value);
    const stream = send(proxy, KB, [["authorization", value]]);
    expect(stream.requestHeader("authorization")).toBe(value);
    expect(stream.requestHeader("x-serverless-authorization")).toMatch(/^Bearer ey/);
  });

  test("among a thousand audiences is left alone, and each of ours is known", async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `b${i}`);
    const proxy = await warmFilter(
      pluginConfig({
        routes: names.map((name) => ({ hosts: [`${name}.x`], to: [{ backend: name, weight: 100 }], open: "a test" })),
        backends: Object.fromEntries(names.map((name) => [name, { token: { audience: `https://${name}` } }])),
      }),
    );
    for (let i = 0; i < 5; i++) {
      answerAll(proxy);
      proxy.advance(1000);
    }
    for (const name of names) {
      const first = send(proxy, `${name}.x`);
      expect(credentials(first)).toEqual([["authorization", `https://${name}`]]);
      expect(credentials(redirected(proxy, first, "nobody.example"))).toEqual([]);
      first.abort();
    }
    expect(send(proxy, "nobody.example", [["authorization", "Basic eDp5"]]).requestHeader("authorization")).toBe(
      "Basic eDp5",
    );
  });
});

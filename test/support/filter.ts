/** The filter in the emulator: configurations, tokens and requests in a line each. */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { Emulator, type EmulatorOptions } from "../../shim/emulator/emulator.js";
import type { HttpCall } from "../../shim/emulator/http-call.js";
import type { Headers } from "../../shim/emulator/pairs.js";
import type { Response, Stream } from "../../shim/emulator/stream.js";
import { METADATA_SERVICE, outboundCluster } from "../../shim/render/envoy/names.js";
import type { PluginBackend, PluginConfig } from "../../shim/render/plugin-config.js";

export const hopgate = readFileSync(new URL("../../build/hopgate.wasm", import.meta.url));

export const NOW_MS = Date.UTC(2026, 0, 1);
export const NOW_SEC = NOW_MS / 1000;
export const METADATA = outboundCluster(METADATA_SERVICE);

export const LLM = "llm.example.internal";
export const KB = "kb.example.internal";
export const KB_AUDIENCE = "https://kb-abc123-uc.a.run.app";

/** An edge with one service in the cluster and one on Cloud Run; any field can be another. */
export function pluginConfig(fields: Partial<PluginConfig> = {}): PluginConfig {
  return {
    hop: "ingress",
    edge: true,
    routes: [
      { hosts: [LLM], to: [{ backend: "llm", weight: 100 }] },
      { hosts: [KB], to: [{ backend: "kb", weight: 100 }], open: "callers are checked elsewhere" },
    ],
    backends: { llm: {}, kb: { token: { audience: KB_AUDIENCE } } },
    identity: { cluster: METADATA },
    ...fields,
  };
}

/** A configuration of one host, one backend and nothing else. */
export function oneRoute(backend: PluginBackend, fields: Partial<PluginConfig> = {}): PluginConfig {
  const route = { hosts: [KB], to: [{ backend: "kb", weight: 100 }], open: "callers are checked elsewhere" };
  return pluginConfig({ routes: [route], backends: { kb: backend }, ...fields });
}

/** A proxy whose filter has accepted the configuration and has not ticked yet. */
export async function startFilter(
  config: PluginConfig | string = pluginConfig(),
  options: Partial<EmulatorOptions> = {},
): Promise<Emulator> {
  const proxy = await Emulator.start({ module: hopgate, nowMs: NOW_MS, clusters: { [METADATA]: "ok" }, ...options });
  expect(reconfigure(proxy, config)).toEqual({ accepted: true });
  return proxy;
}

/** As startFilter, with its tokens fetched and adopted by every worker. */
export async function warmFilter(
  config: PluginConfig | string = pluginConfig(),
  options: Partial<EmulatorOptions> = {},
): Promise<Emulator> {
  const proxy = await startFilter(config, options);
  proxy.advance(20);
  answerAll(proxy);
  proxy.advance(1000);
  return proxy;
}

export function reconfigure(proxy: Emulator, config: PluginConfig | string): { accepted: boolean } {
  return proxy.configure({ config: typeof config === "string" ? config : JSON.stringify(config) });
}

/** An unsigned JWT: the filter that injects does not verify what it sends. */
export function idToken(claims: Record<string, unknown> = {}, paddingBytes = 0): string {
  const payload = { aud: KB_AUDIENCE, exp: NOW_SEC + 3600, iss: "https://accounts.google.com", ...claims };
  const padded = paddingBytes > 0 ? { ...payload, padding: "x".repeat(paddingBytes) } : payload;
  return `${base64url({ alg: "RS256", typ: "JWT" })}.${base64url(padded)}.c2lnbmF0dXJl`;
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

export const FROM_METADATA: Headers = [
  [":status", "200"],
  ["metadata-flavor", "Google"],
];

/** The audience that a call for an ID token asks for; empty for an access token. */
export function audienceOf(call: HttpCall): string {
  if (call.header(":method") === "POST")
    return (JSON.parse(call.request.body.toString()) as { audience: string }).audience;
  return new URL(call.header(":path") ?? "", `http://${METADATA_SERVICE.host}`).searchParams.get("audience") ?? "";
}

/** Answers every waiting call with a token for the audience that it asks for, good for an hour; gives the tokens. */
export function answerAll(proxy: Emulator, claims: Record<string, unknown> = {}): string[] {
  return proxy.calls.map((call) => {
    const exp = Math.floor(proxy.clock.wallMs / 1000) + 3600;
    const token = idToken({ aud: audienceOf(call), exp, ...claims });
    call.respond(FROM_METADATA, token);
    return token;
  });
}

export function requestTo(authority: string, more: Headers = []): Headers {
  return [[":method", "GET"], [":path", "/v1/answers?q=1"], [":authority", authority], [":scheme", "http"], ...more];
}

export function send(proxy: Emulator, authority: string, more: Headers = [], worker = 0): Stream {
  return proxy.stream({ headers: requestTo(authority, more), worker });
}

/** The upstream answers 200 and the stream ends. */
export function answered(stream: Stream, more: Headers = []): Response {
  const response = stream.respond([[":status", "200"], ...more]);
  if (response === undefined) throw new Error("the filter held the response back");
  return response;
}

/** The code of the filter's own answer, or undefined where it gave none. */
export function refusal(stream: Stream): string | undefined {
  return stream.localReply === undefined ? undefined : stream.responseHeader("x-hopgate-error");
}

export function valueOf(headers: Headers, name: string): string | undefined {
  return headers.find(([key]) => key === name)?.[1];
}

/** Nothing of these tests may ever trap the filter. */
export function expectNoTrap(proxy: Emulator): void {
  expect(proxy.traps).toEqual([]);
}

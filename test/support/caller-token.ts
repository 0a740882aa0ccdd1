/** Tokens as callers send them, signed for real, and the key sets to check them with. Every part can be made wrong. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { HttpCall } from "../../shim/emulator/http-call.js";
import type { Emulator } from "../../shim/emulator/emulator.js";
import type { PluginConfig, PluginValidator } from "../../shim/render/plugin-config.js";
import { KB, METADATA, NOW_SEC, pluginConfig, startFilter } from "./filter.js";

export const JWKS = "outbound|443||www.googleapis.com";
export const EDGE_AUDIENCE = "https://ai-platform.example.internal";
export const ORCHESTRATOR = "orchestrator@my-project.iam.gserviceaccount.com";

export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
}

export function rsaKey(id: string, modulusLength = 2048): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
  return { id, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid: id, alg: "RS256", use: "sig" } };
}

export function ecKey(id: string): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { id, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid: id, alg: "ES256", use: "sig" } };
}

/** One for all tests of a file: making an RSA key takes long. */
export const google = rsaKey("google-1");
export const iap = ecKey("iap-1");

export interface TokenOptions {
  readonly key?: SigningKey;
  /** Over what is signed: the claims, or the text of the payload. */
  readonly claims?: Record<string, unknown> | string | Buffer;
  /** Fields of the header that are other than usual; undefined leaves one out. */
  readonly header?: Record<string, unknown> | string;
}

export function googleClaims(claims: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: "https://accounts.google.com",
    aud: EDGE_AUDIENCE,
    azp: "110000000000000000000",
    sub: "110000000000000000000",
    email: ORCHESTRATOR,
    email_verified: true,
    iat: NOW_SEC,
    exp: NOW_SEC + 3600,
    ...claims,
  };
}

/** A token that is accepted unless `options` say otherwise. */
export function callerToken({ key = google, claims = googleClaims(), header = {} }: TokenOptions = {}): string {
  const alg = key.privateKey.asymmetricKeyType === "ec" ? "ES256" : "RS256";
  const head = typeof header === "string" ? header : JSON.stringify({ alg, kid: key.id, typ: "JWT", ...header });
  const payload = typeof claims === "string" || Buffer.isBuffer(claims) ? claims : JSON.stringify(claims);
  const text = `${base64url(head)}.${base64url(payload)}`;
  return `${text}.${signed(key, text).toString("base64url")}`;
}

/** `text` signed as JWS has it: for ECDSA the bare halves. */
export function signed({ privateKey }: SigningKey, text: string): Buffer {
  return sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" });
}

export function base64url(value: string | Buffer): string {
  return Buffer.from(value).toString("base64url");
}

export function keySet(...keys: (SigningKey | Record<string, unknown>)[]): string {
  return JSON.stringify({ keys: keys.map((key) => ("privateKey" in key ? (key as SigningKey).jwk : key)) });
}

export function validator(fields: Partial<PluginValidator> = {}): PluginValidator {
  return {
    issuers: ["https://accounts.google.com"],
    audiences: [EDGE_AUDIENCE],
    emails: [ORCHESTRATOR],
    jwks: { cluster: JWKS, authority: "www.googleapis.com", path: "/oauth2/v3/certs" },
    ...fields,
  };
}

/** An edge that checks the callers of its Cloud Run route. */
export function validating(fields: Partial<PluginValidator> = {}, config: Partial<PluginConfig> = {}): PluginConfig {
  return pluginConfig({
    routes: [{ hosts: [KB], to: [{ backend: "kb", weight: 100 }], validate: "google" }],
    validators: { google: validator(fields) },
    ...config,
  });
}

/** A proxy that has been given its configuration and has made its first tick, so that its fetches are under way. */
export async function startValidator(
  config: PluginConfig = validating(),
  options: Parameters<typeof startFilter>[1] = {},
): Promise<Emulator> {
  const proxy = await startFilter(config, { clusters: { [METADATA]: "ok", [JWKS]: "ok" }, ...options });
  proxy.advance(20);
  return proxy;
}

/** The calls for key sets that wait for an answer. */
export function keyCalls(proxy: Emulator): HttpCall[] {
  return proxy.calls.filter(({ request }) => request.cluster === JWKS);
}

export function answerKeys(proxy: Emulator, set: string | Buffer = keySet(google), status = "200"): number {
  const calls = keyCalls(proxy);
  for (const call of calls) call.respond([[":status", status]], set);
  return calls.length;
}

/** A stand-alone Envoy that checks its callers, the server of its keys, and requests to it. */
import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import {
  callerToken,
  google,
  googleClaims,
  JWKS,
  keySet,
  type TokenOptions,
  validating,
} from "../support/caller-token.js";
import { type Seen, startEcho } from "../support/echo.js";
import { KB } from "../support/filter.js";
import { type KeyAnswer, type KeyServer, startKeyServer } from "../support/key-server.js";
import { headerOf, type RawResponse, rawRequest } from "../support/raw-http.js";
import { type Standalone, type StandaloneOptions, startStandalone } from "./standalone.js";

export interface ValidatingHop extends Standalone {
  readonly keys: KeyServer;
}

export interface ValidatingOptions extends Partial<Omit<StandaloneOptions, "config">> {
  readonly envoyPath: string;
  readonly config?: PluginConfig;
  /** What the server of the keys answers at first; the set of `google` unless given. */
  readonly keySet?: KeyAnswer;
}

/** Both backends of the configuration are one echo, unless `services` say otherwise. */
export async function startValidating(options: ValidatingOptions): Promise<ValidatingHop> {
  const keys = await startKeyServer(options.keySet ?? keySet(google));
  const echo: LocalServer | undefined = options.services === undefined ? await startEcho() : undefined;
  const close = (): Promise<unknown> => Promise.all([keys.close(), echo?.close()]);
  try {
    const hop = await startStandalone({
      config: validating(),
      services: echo === undefined ? {} : { kb: echo, llm: echo },
      clusters: { [JWKS]: keys },
      ...options,
    });
    return { ...hop, keys, close: () => Promise.all([hop.close(), close()]).then(() => undefined) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Claims of a token that is good from now on for an hour, by the real clock: Envoy has no other. */
export function liveClaims(claims: Record<string, unknown> = {}): Record<string, unknown> {
  const nowSec = Math.floor(Date.now() / 1000);
  return googleClaims({ iat: nowSec, exp: nowSec + 3600, ...claims });
}

/** A token that is accepted unless `options` say otherwise. */
export function liveToken(options: TokenOptions = {}): string {
  return callerToken({ claims: liveClaims(), ...options });
}

export interface Answer extends RawResponse {
  /** The code of the filter's own answer. */
  readonly code: string | undefined;
}

export interface Question {
  /** Goes into `authorization` behind `Bearer`. */
  readonly token?: string;
  readonly host?: string;
  readonly path?: string;
  /** More header lines, without line ends. */
  readonly lines?: readonly string[];
}

/** One request on a connection of its own. */
export async function ask({ port }: { readonly port: number }, question: Question = {}): Promise<Answer> {
  const { token, host = KB, path = "/", lines = [] } = question;
  const all = [`Host: ${host}`, ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]), ...lines];
  const response = await rawRequest(port, `GET ${path} HTTP/1.1\r\n${all.join("\r\n")}\r\n\r\n`);
  return { ...response, code: headerOf(response, "x-hopgate-error") };
}

/** The status, and the code of a refusal. */
export async function outcome(hop: { readonly port: number }, question: Question = {}): Promise<string> {
  const { status, code } = await ask(hop, question);
  return code === undefined ? String(status) : `${status} ${code}`;
}

/** What the service saw of a request that reached it. */
export function seenOf({ body }: RawResponse): Seen {
  return JSON.parse(body.toString()) as Seen;
}

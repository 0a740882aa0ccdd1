/** Google's token servers for a filter that is only asked: well-formed tokens that nobody would accept. */

import type { Emulator } from "../emulator/emulator.js";
import type { HttpCall } from "../emulator/http-call.js";
import { keyClusters } from "./keys.js";
import type { PluginConfig } from "../render/plugin-config.js";

/** The audience of each token, by what the header that carries it says: `Bearer TOKEN`. */
export type SuppliedTokens = ReadonlyMap<string, string>;

const LIFE_SEC = 3600;

const HEADERS = [
  [":status", "200"],
  ["metadata-flavor", "Google"],
] as const;

/** The first tick comes 10 ms after a configuration. */
const PATIENCE_MS = 5000;

/** Lets the filter fetch the token of each audience of its configuration, and answers. */
export function supplyTokens(proxy: Emulator, config: PluginConfig): SuppliedTokens {
  const isOff = config.identity?.mode === "off"; // then the mesh around the hop adds them, and the filter asks for none
  const audiences = new Set(isOff ? [] : Object.values(config.backends).flatMap(({ token }) => token?.audience ?? []));
  const supplied = new Map<string, string>();
  const others = keyClusters(config);
  // In steps of a millisecond, for no configured timeout is shorter than that.
  for (let ms = 0; ms < PATIENCE_MS && supplied.size < audiences.size; ms++) {
    proxy.advance(1);
    for (const call of proxy.calls) {
      if (others.has(call.request.cluster)) continue;
      const audience = audienceOf(call);
      if (audience === undefined) {
        call.respond(HEADERS, JSON.stringify({ access_token: "explain", expires_in: LIFE_SEC }));
        continue;
      }
      const token = unsignedToken(audience, Math.floor(proxy.clock.wallMs / 1000) + LIFE_SEC);
      call.respond(HEADERS, call.header(":method") === "POST" ? JSON.stringify({ token }) : token);
      supplied.set(`Bearer ${token}`, audience);
    }
  }
  const missing = [...audiences].filter((audience) => ![...supplied.values()].includes(audience));
  if (missing.length > 0) throw new Error(`the filter asked for no token for ${missing.join(", ")}`);
  return supplied;
}

/** The audience that an ID token is asked for; undefined where the call wants an access token. */
function audienceOf(call: HttpCall): string | undefined {
  if (call.header(":method") === "POST")
    return (JSON.parse(call.request.body.toString()) as { audience: string }).audience;
  const url = new URL(call.header(":path") ?? "/", "http://metadata.google.internal");
  return url.searchParams.get("audience") ?? undefined;
}

/** A JWT (RFC 7519) that says whom it is for and how long it lasts, which is all that its bearer looks at. */
function unsignedToken(audience: string, expiresSec: number): string {
  const encode = (value: object | string): string =>
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
  return [encode({ alg: "RS256", typ: "JWT" }), encode({ aud: audience, exp: expiresSec }), encode("explain")].join(
    ".",
  );
}

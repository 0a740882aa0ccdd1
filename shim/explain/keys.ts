/**
 * The issuers of callers' tokens for a filter that is only asked. Nobody here has their keys, so signatures are taken to hold: the
 * filter is given a key of the name that each token asks for, and the emulator says that it fits. All else the filter judges.
 */

import type { Emulator } from "../emulator/emulator.js";
import type { Headers } from "../emulator/pairs.js";
import type { PluginConfig } from "../render/plugin-config.js";

/** The first tick comes 20 ms after a configuration. */
const PATIENCE_MS = 5000;
/** The thread that is asked. */
const WORKER = "worker 0";

/** The clusters that the filter fetches key sets from. */
export function keyClusters({ validators = {} }: PluginConfig): ReadonlySet<string> {
  return new Set(Object.values(validators).map(({ jwks }) => jwks.cluster));
}

/** Lets the filter fetch its key sets, and answers with a key for each token in `headers`. */
export function supplyKeys(proxy: Emulator, config: PluginConfig, headers: Headers): void {
  proxy.signatures = "accept";
  const clusters = keyClusters(config);
  const set = JSON.stringify({ keys: keysFor(headers) });
  let missing = Object.keys(config.validators ?? {}).length;
  for (let ms = 0; ms < PATIENCE_MS && missing > 0; ms++) {
    proxy.advance(1);
    for (const call of proxy.calls) {
      if (!clusters.has(call.request.cluster)) continue;
      if (call.vm === WORKER) missing--;
      call.respond([[":status", "200"]], set);
    }
  }
  if (missing > 0) throw new Error(`the filter did not ask for ${missing} of its key sets`);
}

/** What passes for a key of 2048 bits, and for a point on P-256. */
const RSA = { kty: "RSA", n: encoded(Buffer.alloc(256, 0xff)), e: "AQAB" };
const EC = { kty: "EC", crv: "P-256", x: encoded(Buffer.alloc(32, 1)), y: encoded(Buffer.alloc(32, 2)) };

function keysFor(headers: Headers): readonly object[] {
  // One of each kind, for a set without any key of the wanted kind is none.
  const keys = new Map<string, object>([
    ["rsa", RSA],
    ["ec", EC],
  ]);
  for (const [, value] of headers) {
    for (const { alg, kid } of tokenHeadersIn(value)) {
      if (typeof kid === "string") keys.set(kid, alg === "ES256" ? EC : RSA);
    }
  }
  return [...keys].map(([kid, key]) => ({ ...key, kid }));
}

function encoded(bytes: Buffer): string {
  return bytes.toString("base64url");
}

/** The headers of what may be JWTs: they begin with `{"`, in base64url. */
function tokenHeadersIn(value: string): readonly { readonly alg?: unknown; readonly kid?: unknown }[] {
  return [...value.matchAll(/\beyJ[\w-]*(?=\.)/g)].flatMap(([text]) => {
    try {
      return [JSON.parse(Buffer.from(text, "base64url").toString()) as { alg?: unknown; kid?: unknown }];
    } catch {
      return [];
    }
  });
}

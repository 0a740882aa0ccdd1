import type { KeySet } from "../shim/local/keys.js";
import { callerToken } from "./surroundings.js";
import type { Variant } from "./variants.js";
import type { Target } from "./workloads.js";

/** What callers send. */
export interface TokenSource {
  readonly headersFor: (variant: Variant) => Target["headers"];
}

/**
 * Tokens that are used in turn. Four times as many as hopgate remembers (512), so that whoever remembers those used last has
 * forgotten each when its turn comes again.
 */
const NEW_TOKENS = 2048;

/** Signs the tokens of a run; with `wantNew` false there is only the one that is always the same. */
export async function tokenSource(keys: KeySet, wantNew: boolean): Promise<TokenSource> {
  const [seen, ...others] = await Promise.all(
    Array.from({ length: wantNew ? NEW_TOKENS : 1 }, (_, id) => callerToken(keys, id)),
  );
  const bearer = (token = seen): Readonly<Record<string, string>> => ({ authorization: `Bearer ${token}` });
  let turn = 0;
  const headers: Record<Variant["token"], Target["headers"]> = {
    none: () => ({}),
    seen: () => bearer(),
    new: () => bearer(others[turn++ % others.length]),
  };
  return { headersFor: ({ token }) => headers[token] };
}

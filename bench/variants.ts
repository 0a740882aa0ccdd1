import { readFileSync } from "node:fs";

import { packagePath } from "../shim/package-root.js";
import type { JsonObject } from "../shim/render/envoy/json.js";
import { gcpAuthnFilter, headerMutationFilter, jwtAuthnFilter, luaFilter, wasmFilter } from "./filters.js";
import {
  type Callers,
  edgeConfiguration,
  HOP,
  KB,
  KB_AUDIENCE,
  LLM,
  luaPrelude,
  validatingConfiguration,
} from "./plugin-configurations.js";

/** One way to handle the same request. */
export interface Variant {
  /** Stable: what data and baselines call it. */
  readonly id: string;
  readonly name: string;
  /** HTTP filters in front of the router. */
  readonly filters: readonly JsonObject[];
  readonly host: string;
  /** Which of the caller's tokens requests carry as `authorization`: none, the same each time, or each time another. */
  readonly token: "none" | "seen" | "new";
  /** The variant without a filter whose requests look the same: what the others are compared with. */
  readonly base: string;
  /** The upstream knows the audience of the token that gcp_authn is to add. */
  readonly audience?: string;
}

/** A filter of the user's own. */
export interface Peer {
  readonly wasmPath: string;
  readonly configuration: string;
}

export interface VariantOptions {
  readonly hopgatePath: string;
  readonly emptyPath: string;
  /** The Rust peer; undefined where it could not be built. */
  readonly rustPath: string | undefined;
  readonly peer: Peer | undefined;
  /** Somebody's ID token, as long as a real one. */
  readonly token: string;
  readonly callers: Callers;
  /** The key set of the issuer (RFC 7517), as text. */
  readonly jwks: string;
}

const BASE = "none";
const BASE_WITH_TOKEN = "none-token";

/** All variants, those without a filter first. */
export function allVariants(options: VariantOptions): readonly Variant[] {
  const { hopgatePath, emptyPath, rustPath, peer, token } = options;
  const lua =
    luaPrelude(edgeConfiguration(10), token) +
    readFileSync(packagePath("bench", "peers", "lua", "routing.lua"), "utf8");
  const validating = (id: string, name: string): Variant =>
    withToken(id, name, wasmFilter(id, hopgatePath, JSON.stringify(validatingConfiguration(options.callers))));
  const jwtAuthn = (cacheSize: number): JsonObject =>
    jwtAuthnFilter({ ...options.callers, jwks: options.jwks, cacheSize });
  return [
    plain(BASE, "no filter", []),
    { ...plain(BASE_WITH_TOKEN, "no filter, caller's token", []), token: "seen", base: BASE_WITH_TOKEN },
    plain("empty", "empty filter", [wasmFilter("empty", emptyPath, "")]),
    ...[10, 100, 1000].flatMap((routes) => wasmPair("hopgate", "hopgate", hopgatePath, routes)),
    validating("hopgate-validate-seen", "hopgate, route + validate, token seen"),
    { ...validating("hopgate-validate-new", "hopgate, route + validate, token new"), token: "new" },
    ...(rustPath === undefined ? [] : wasmPair("rust", "Rust peer", rustPath, 10)),
    plain("lua-route", "Lua, route", [luaFilter(lua)]),
    { ...plain("lua-inject", "Lua, route + inject", [luaFilter(lua)]), host: KB },
    plain("header-mutation", "native header_mutation", [headerMutationFilter("llm", HOP)]),
    { ...plain("gcp-authn", "native gcp_authn, token cached", [gcpAuthnFilter()]), audience: KB_AUDIENCE },
    withToken("jwt-authn", "native jwt_authn, no cache", jwtAuthn(0)),
    withToken("jwt-authn-cache", "native jwt_authn, jwt_cache", jwtAuthn(100)),
    ...(peer === undefined
      ? []
      : [plain("peer", "your filter", [wasmFilter("peer", peer.wasmPath, peer.configuration)])]),
  ];
}

function plain(id: string, name: string, filters: readonly JsonObject[]): Variant {
  return { id, name, filters, host: LLM, token: "none", base: BASE };
}

function withToken(id: string, name: string, filter: JsonObject): Variant {
  return { ...plain(id, name, [filter]), token: "seen", base: BASE_WITH_TOKEN };
}

/** A filter that reads hopgate's plugin configuration: routing alone, and routing with an ID token. */
function wasmPair(id: string, name: string, path: string, routes: number): readonly Variant[] {
  const configuration = JSON.stringify(edgeConfiguration(routes));
  const [suffix, among] = routes === 10 ? ["", ""] : [`-${routes}`, `, ${routes.toLocaleString("en")} routes`];
  const variant = (job: string, jobName: string): Variant => {
    const vmId = `${id}-${job}${suffix}`;
    return plain(vmId, `${name}, ${jobName}${among}`, [wasmFilter(vmId, path, configuration)]);
  };
  return [variant("route", "route"), { ...variant("inject", "route + inject"), host: KB }];
}

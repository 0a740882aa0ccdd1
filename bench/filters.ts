/** HTTP filters of Envoy, as its configuration has them: WebAssembly, and the native ones to compare with. */
import { extension, type JsonObject, typed } from "../shim/render/envoy/json.js";

/** The metadata server, under the name that hopgate's plugin configuration gives it. */
export const METADATA_CLUSTER = "outbound|80||metadata.google.internal";
/** The key set that callers' tokens are checked with. */
export const JWKS_CLUSTER = "outbound|443||www.googleapis.com";

const HTTP = "envoy.extensions.filters.http";

/** A proxy-wasm filter, with its plugin configuration, in VMs of its own: Envoy runs in one what has the same id and code. */
export function wasmFilter(vmId: string, path: string, configuration: string | Buffer): JsonObject {
  return extension("wasm", `${HTTP}.wasm.v3.Wasm`, {
    config: {
      vm_config: { vm_id: vmId, runtime: "envoy.wasm.runtime.v8", code: { local: { filename: path } } },
      configuration:
        typeof configuration === "string"
          ? typed("google.protobuf.StringValue", { value: configuration })
          : typed("google.protobuf.BytesValue", { value: configuration.toString("base64") }),
    },
  });
}

export function luaFilter(source: string): JsonObject {
  return extension("lua", `${HTTP}.lua.v3.Lua`, { default_source_code: { inline_string: source } });
}

/** Adds an ID token to what goes to a cluster that names an audience (`audienceMetadata`); tokens are cached. */
export function gcpAuthnFilter(): JsonObject {
  return extension("gcp_authn", `${HTTP}.gcp_authn.v3.GcpAuthnFilterConfig`, {
    cluster: METADATA_CLUSTER,
    timeout: "2s",
    cache_config: { cache_size: 100 },
  });
}

export function audienceMetadata(url: string): JsonObject {
  return { typed_filter_metadata: { "envoy.filters.http.gcp_authn": typed(`${HTTP}.gcp_authn.v3.Audience`, { url }) } };
}

export interface JwtAuthnOptions {
  readonly issuer: string;
  readonly audience: string;
  /** The JWKS document, as text. */
  readonly jwks: string;
  /** How many checked tokens are remembered; 0: none. */
  readonly cacheSize: number;
}

export function jwtAuthnFilter({ issuer, audience, jwks, cacheSize }: JwtAuthnOptions): JsonObject {
  const provider = {
    issuer,
    audiences: [audience],
    forward: true,
    local_jwks: { inline_string: jwks },
    ...(cacheSize === 0 ? {} : { jwt_cache_config: { jwt_cache_size: cacheSize, jwt_max_token_size: 8192 } }),
  };
  return extension("jwt_authn", `${HTTP}.jwt_authn.v3.JwtAuthentication`, {
    providers: { google: provider },
    rules: [{ match: { prefix: "/" }, requires: { provider_name: "google" } }],
  });
}

/** The header writes of hopgate's routing, with fixed values. */
export function headerMutationFilter(backend: string, hop: string): JsonObject {
  const set = (key: string, value: string): JsonObject => ({
    append: { header: { key, value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
  });
  return extension("header_mutation", `${HTTP}.header_mutation.v3.HeaderMutation`, {
    mutations: {
      request_mutations: [
        { remove: "x-hopgate-caller" },
        set("x-hopgate-backend", backend),
        set("x-hopgate-path", hop),
      ],
      response_mutations: [
        { remove: "x-hopgate-timing" },
        set("server-timing", `${hop};dur=0.000, ${hop}-upstream;dur=0.000`),
      ],
    },
  });
}

export function routerFilter(): JsonObject {
  return extension("envoy.filters.http.router", `${HTTP}.router.v3.Router`);
}

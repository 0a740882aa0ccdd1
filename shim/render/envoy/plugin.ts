import type { Hop } from "../../config/model.js";
import { fileSource } from "./files.js";
import { extension, type JsonObject } from "./json.js";
import { wasmPluginResource } from "./names.js";

const WASM = "envoy.extensions.filters.http.wasm.v3.Wasm";

/** Our filter's place among the HTTP filters. As in Istio it comes by ECDS: a new configuration closes no connection. */
export function pluginFilter(hop: Hop, workDir: string): JsonObject {
  return {
    name: wasmPluginResource(hop),
    config_discovery: {
      config_source: { ...fileSource(workDir, "ecds"), initial_fetch_timeout: "0s" },
      type_urls: [`type.googleapis.com/${WASM}`],
    },
  };
}

/** The WasmPlugin as istiod sends it (buildWasmConfig): `pluginConfig` as a StringValue, root and VM without a name. */
export function pluginResource(hop: Hop, wasmPath: string, pluginConfig: string): JsonObject {
  return extension(wasmPluginResource(hop), WASM, {
    config: {
      name: `${hop.namespace}.hopgate`,
      root_id: "",
      failure_policy: "FAIL_RELOAD",
      configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: pluginConfig },
      vm_config: { vm_id: "", runtime: "envoy.wasm.runtime.v8", code: { local: { filename: wasmPath } } },
    },
  });
}

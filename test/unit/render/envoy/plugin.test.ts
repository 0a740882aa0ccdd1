import { describe, expect, it } from "vitest";
import { pluginResource } from "../../../../shim/render/envoy/plugin.js";
import { ingress } from "./sample.js";

describe("the plugin", () => {
  it("comes as istiod sends a WasmPlugin: text in a StringValue, no root, no VM name, reload on failure", () => {
    expect(pluginResource(ingress, "/build/hopgate.wasm", '{"hop":"ingress"}')).toEqual({
      name: "extensions.istio.io/wasmplugin/istio-ingress.hopgate",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        config: {
          name: "istio-ingress.hopgate",
          root_id: "",
          failure_policy: "FAIL_RELOAD",
          configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: '{"hop":"ingress"}' },
          vm_config: {
            vm_id: "",
            runtime: "envoy.wasm.runtime.v8",
            code: { local: { filename: "/build/hopgate.wasm" } },
          },
        },
      },
    });
  });
});

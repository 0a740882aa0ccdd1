import { describe, expect, it } from "vitest";
import { wasmPlugin } from "../../../../shim/render/envoy/hcm.js";
import { workloadIdentity } from "../../../../shim/render/envoy/names.js";
import { agents, ingress } from "./sample.js";

describe("the plugin", () => {
  it("comes as istiod sends a WasmPlugin: text in a StringValue, no root, no VM name, reload on failure", () => {
    expect(wasmPlugin(ingress, "/build/hopgate.wasm", '{"hop":"ingress"}')).toEqual({
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

describe("a workload's identity", () => {
  it("is that of the service account which Istio gives the Pods", () => {
    expect(workloadIdentity(agents)).toBe("spiffe://cluster.local/ns/agents-ns/sa/waypoint");
    expect(workloadIdentity(ingress)).toBe("spiffe://cluster.local/ns/istio-ingress/sa/ingress");
  });
});

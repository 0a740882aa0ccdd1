import { describe, expect, it } from "vitest";
import { workloadIdentity } from "../../../../shim/render/envoy/names.js";
import { agents, ingress } from "./sample.js";

describe("a workload's identity", () => {
  it("is that of the service account which Istio gives the Pods", () => {
    expect(workloadIdentity(agents)).toBe("spiffe://cluster.local/ns/agents-ns/sa/waypoint");
    expect(workloadIdentity(ingress)).toBe("spiffe://cluster.local/ns/istio-ingress/sa/ingress");
  });
});

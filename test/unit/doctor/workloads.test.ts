import { describe, expect, it } from "vitest";

import { WORKLOAD_CHECKS } from "../../../shim/doctor/workloads.js";
import { describeChecks, healthy, known, liveWith, resultOf, seenWith } from "./support.js";

const service = (more: object) =>
  new Map([["llm-ns/llm", known({ ports: [80], isExternal: false, readyEndpoints: known(2), ...more })]]);
const withoutLabel =
  (label: string) =>
  ({ metadata }: { readonly metadata: Readonly<Record<string, unknown>> }) => {
    const labels = { ...(metadata["labels"] as Record<string, string>) };
    return {
      metadata: { ...metadata, labels: Object.fromEntries(Object.entries(labels).filter(([key]) => key !== label)) },
    };
  };

describe("the checks of workloads", () => {
  describeChecks(WORKLOAD_CHECKS, () => healthy(), [
    {
      code: "HG0409",
      what: "labels that no Pod has",
      seen: () => seenWith({ pods: new Map([...healthy().pods, ["ingress", known([])]]) }),
      says: "hop ingress: no Pod in istio-ingress has istio=ingressgateway",
    },
    {
      code: "HG0410",
      what: "a waypoint without Pods",
      seen: () => seenWith({ pods: new Map([...healthy().pods, ["agents", known([])]]) }),
      says: "hop agents: no Pod in agents has gateway.networking.k8s.io/gateway-name=waypoint",
    },
    {
      code: "HG0411",
      what: "a Service that is not there",
      seen: () => seenWith({ services: new Map([["llm-ns/llm", known(undefined)]]) }),
      says: "Service llm-ns/llm: there is none",
    },
    {
      code: "HG0411",
      what: "a port that the Service has not",
      seen: () => seenWith({ services: service({ ports: [8080] }) }),
      says: "it has no port 80, but 8080",
    },
    {
      code: "HG0412",
      what: "a Service without endpoints",
      seen: () => seenWith({ services: service({ readyEndpoints: known(0) }) }),
      says: "it has no endpoint that is ready",
    },
    {
      code: "HG0413",
      what: "a Service that ingress gateways do not reach through its waypoint",
      seen: () => liveWith("Service agents/shop-agents-reports", withoutLabel("istio.io/ingress-use-waypoint")),
      says: "Service agents/shop-agents-reports: its label istio.io/ingress-use-waypoint is not there",
    },
    {
      code: "HG0413",
      what: "a host that nobody reaches through its waypoint",
      seen: () => liveWith("ServiceEntry agents/shop-reports", withoutLabel("istio.io/use-waypoint")),
      says: "ServiceEntry agents/shop-reports: its label istio.io/use-waypoint is not there",
    },
    {
      code: "HG0414",
      what: "a route that Istio did not take",
      seen: () =>
        liveWith("HTTPRoute agents/shop-agents-reports", () => ({
          status: {
            parents: [
              { conditions: [{ type: "ResolvedRefs", status: "False", reason: "BackendNotFound", message: "no kb" }] },
            ],
          },
        })),
      says: "HTTPRoute agents/shop-agents-reports: ResolvedRefs is false: BackendNotFound: no kb",
    },
  ]);

  it("say nothing of endpoints of a Service that is another's name", () => {
    const seen = seenWith({ services: service({ isExternal: true, readyEndpoints: known(0) }) });
    expect(resultOf(WORKLOAD_CHECKS, seen, "HG0412").state).toBe("passed");
  });

  it("take a load balancer that has no address yet for no refusal", () => {
    const seen = liveWith("Gateway.gateway.networking.k8s.io agents/waypoint", () => ({
      status: { conditions: [{ type: "Programmed", status: "False", reason: "AddressNotAssigned" }] },
    }));
    expect(resultOf(WORKLOAD_CHECKS, seen, "HG0414").state).toBe("passed");
  });

  it("do not know the endpoints that may not be listed", () => {
    const seen = seenWith({ services: service({ readyEndpoints: { unknown: "forbidden" } }) });
    expect(resultOf(WORKLOAD_CHECKS, seen, "HG0412")).toMatchObject({ state: "unknown", findings: [] });
  });
});

import { describe, expect, it } from "vitest";

import { CLUSTER_CHECKS } from "../../../shim/doctor/cluster.js";
import { CONNECTION_CHECKS } from "../../../shim/doctor/connection.js";
import { resourcesOf, sample } from "../render/istio/sample.js";
import { describeChecks, healthy, known, liveWith, pod, resultOf, revision, seenWith } from "./support.js";

describe("the check of the connection", () => {
  describeChecks(CONNECTION_CHECKS, () => ({ context: "prod", failure: undefined }), [
    {
      code: "HG0301",
      what: "an API server that is down",
      seen: () => ({ context: "prod", failure: "ECONNREFUSED" }),
      says: "prod: ECONNREFUSED",
    },
  ]);
});

const WAYPOINT = "Gateway.gateway.networking.k8s.io agents/waypoint";

describe("the checks of the cluster", () => {
  describeChecks(CLUSTER_CHECKS, () => healthy(), [
    {
      code: "HG0302",
      what: "a cluster without Istio",
      seen: () => seenWith({ kinds: known(new Set(["gateway.networking.k8s.io/v1/Gateway"])) }),
      says: "extensions.istio.io/v1alpha1/WasmPlugin: the cluster does not know it",
    },
    {
      code: "HG0303",
      what: "proxies of an earlier Istio",
      seen: () =>
        seenWith({
          pods: new Map([["ingress", known([pod("istio-ingress", "old", {}, "istio/proxyv2:1.26.4-distroless")])]]),
        }),
      says: "Pod istio-ingress/old: it is of Istio 1.26.4",
    },
    {
      code: "HG0303",
      what: "the CRDs of an earlier Istio",
      seen: () => seenWith({ failStrategies: known(["FAIL_CLOSE", "FAIL_OPEN"]) }),
      says: "no failStrategy FAIL_RELOAD",
    },
    {
      code: "HG0304",
      what: "proxies of a managed control plane",
      seen: () =>
        seenWith({
          pods: new Map([
            ["ingress", known([pod("istio-ingress", "gw", { labels: { "istio.io/rev": "asm-managed-rapid" } })])],
          ]),
        }),
      says: "its istio.io/rev is asm-managed-rapid",
    },
    {
      code: "HG0304",
      what: "the CRDs of a managed control plane",
      seen: () => seenWith({ groups: known(["mesh.cloud.google.com"]) }),
      says: "mesh.cloud.google.com",
    },
    {
      code: "HG0305",
      what: "a cluster that has TrafficExtension",
      seen: () => seenWith({ kinds: known(new Set(["extensions.istio.io/v1alpha1/TrafficExtension"])) }),
      says: "the filter comes by WasmPlugin",
    },
    {
      code: "HG0306",
      what: "a waypoint of agentgateway",
      seen: () => liveWith(WAYPOINT, () => ({ spec: { gatewayClassName: "istio-agentgateway-waypoint" } })),
      says: `${WAYPOINT}: its gatewayClassName is istio-agentgateway-waypoint`,
    },
    {
      code: "HG0307",
      what: "a right that is missing",
      seen: () => seenWith({ missingRights: known({ user: "me", rights: new Map([["agents", ["get pods/proxy"]]]) }) }),
      says: 'namespace agents: User "me" cannot get pods/proxy',
    },
    {
      code: "HG0308",
      what: "a gcpBackend in a cluster without",
      seen: () =>
        healthy(
          sample({
            backends:
              "{ kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: gcpBackend, region: us-central1 } } }",
            routes: "[{ hosts: [kb.example.internal], to: kb, open: a test }]",
            hops: "{ ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true } }",
          }),
        ),
      says: "backends kb: the cluster does not know the kind GCPBackend",
    },
    {
      code: "HG0309",
      what: "a GCPBackend that cannot be filled in",
      seen: () => seenWith({ unfit: { message: "backends.kb.cloudRun.region is needed", fix: "write it" } }),
      says: "GCPBackend: backends.kb.cloudRun.region is needed",
    },
    {
      code: "HG0310",
      what: "a filter that came by another resource",
      seen: () => {
        const resources = resourcesOf(sample(), "trafficextension");
        return seenWith({ revisions: known([revision(1, { resources })]) });
      },
      says: "WasmPlugin: what is deployed comes by TrafficExtension",
    },
  ]);

  it("do not know what they may not read, and that is no failure", () => {
    const seen = seenWith({ kinds: { unknown: "forbidden" }, missingRights: { unknown: "forbidden" } });
    for (const code of ["HG0302", "HG0307"]) {
      expect(resultOf(CLUSTER_CHECKS, seen, code)).toMatchObject({ state: "unknown", findings: [] });
    }
  });

  it("take Istio 1.27 and later, also of several digits", () => {
    for (const version of ["1.27.0", "1.31.1", "2.0.0", "1.100.0"]) {
      const pods = new Map([["ingress", known([pod("istio-ingress", "gw", {}, `istio/proxyv2:${version}`)])]]);
      expect(resultOf(CLUSTER_CHECKS, seenWith({ pods }), "HG0303").state, version).toBe("passed");
    }
  });
});

import { describe, expect, it } from "vitest";

import { CALLER_CHECKS } from "../../../shim/doctor/callers.js";
import type { Mesh } from "../../../shim/config/model.js";
import type { ClusterSeen } from "../../../shim/doctor/seen.js";
import { sample } from "../render/istio/sample.js";
import { describeChecks, healthy, liveWith, resultOf } from "./support.js";

const POLICY = "AuthorizationPolicy agents/shop-agents-reports";

const USE_WAYPOINT = "istio.io/use-waypoint";
const WAYPOINT = "Gateway.gateway.networking.k8s.io agents/waypoint";
const BACKENDS = `
  named: { kubernetes: { service: named, namespace: agents, port: 80 }, through: agents }`;
const ROUTES = "[]";
const hops = (more: string): string => `{ agents: { waypoint: { namespace: agents, name: waypoint }, ${more} } }`;
const VALIDATING = sample({
  backends: BACKENDS,
  routes: ROUTES,
  hops: hops("validate: google"),
  more: "validators: { google: { issuers: [https://accounts.google.com], audiences: [https://a.example.internal], emails: [a@b.example] } }\n",
});
const REJECTING = sample({ backends: BACKENDS, routes: ROUTES, hops: hops("unmatched: reject") });

function withNeighbours(
  mesh: Mesh,
  services: Readonly<Record<string, Readonly<Record<string, string>>>>,
  labels: Readonly<Record<string, string>> = {},
): ClusterSeen {
  const found = Object.entries(services).map(([name, ofService]) => ({
    name,
    labels: ofService,
    isOther: name === "external",
  }));
  return { ...healthy(mesh), neighbours: new Map([["agents", { value: { labels, services: found } }]]) };
}

describe("the checks of callers", () => {
  describeChecks(CALLER_CHECKS, () => healthy(), [
    {
      code: "HG0601",
      what: "a policy that is gone",
      seen: () => liveWith(POLICY, undefined),
      says: `${POLICY}: it is gone`,
    },
    {
      code: "HG0601",
      what: "a policy that denies instead",
      seen: () => liveWith(POLICY, () => ({ spec: { action: "DENY", rules: [{ from: [{}] }] } })),
      says: "its action is DENY",
    },
    {
      code: "HG0601",
      what: "a policy that lets in everybody",
      seen: () => liveWith(POLICY, () => ({ spec: { rules: [{}] } })),
      says: "a rule of it names no callers",
    },
    {
      code: "HG0601",
      what: "a waypoint without a policy",
      seen: () => {
        const seen = healthy();
        const resources = seen.resources.filter(({ kind }) => kind !== "AuthorizationPolicy");
        return { ...seen, deployed: { hops: [], resources } };
      },
      says: "hop agents: it has neither an AuthorizationPolicy nor a validator",
    },
    {
      code: "HG0602",
      what: "an older ServiceEntry for a host that goes through a waypoint",
      seen: () => withEntry("reports-abc123-uc.a.run.app"),
      says: "ServiceEntry other/old: it has the host reports-abc123-uc.a.run.app too",
    },
    {
      code: "HG0603",
      what: "a service behind a waypoint that demands tokens, and not in the file",
      seen: () => withNeighbours(VALIDATING, { billing: { [USE_WAYPOINT]: "waypoint" } }),
      says: "Service agents/billing: it goes through the waypoint of hop agents, and is no backend with through: agents",
    },
    {
      code: "HG0603",
      what: "a whole namespace behind a waypoint that refuses what has no route",
      seen: () => withNeighbours(REJECTING, { billing: {} }, { [USE_WAYPOINT]: "waypoint" }),
      says: "Service agents/billing: it goes through",
    },
    {
      code: "HG0603",
      what: "an ingress gateway of Istio's in such a namespace",
      seen: () =>
        withNeighbours(
          REJECTING,
          { edge: { "gateway.istio.io/managed": "istio.io-gateway-controller" } },
          { [USE_WAYPOINT]: "waypoint" },
        ),
      says: "Service agents/edge: it goes through",
    },
    {
      code: "HG0603",
      what: "a host outside of the mesh behind it",
      seen: () => {
        const metadata = { name: "ext", namespace: "agents", labels: { [USE_WAYPOINT]: "waypoint" } };
        const entry = { apiVersion: "networking.istio.io/v1", kind: "ServiceEntry", metadata, spec: { hosts: [] } };
        return { ...withNeighbours(VALIDATING, {}), serviceEntries: { value: { found: [entry] } } };
      },
      says: "ServiceEntry agents/ext: it goes through the waypoint of hop agents",
    },
    {
      code: "HG0604",
      what: "a waypoint for workloads",
      seen: () =>
        liveWith(WAYPOINT, ({ metadata }) => ({
          metadata: { ...metadata, labels: { "istio.io/waypoint-for": "workload" } },
        })),
      says: `${WAYPOINT}: its label istio.io/waypoint-for is "workload"`,
    },
  ]);

  it("take a waypoint for all traffic", () => {
    const seen = liveWith(WAYPOINT, ({ metadata }) => ({
      metadata: { ...metadata, labels: { "istio.io/waypoint-for": "all" } },
    }));
    expect(resultOf(CALLER_CHECKS, seen, "HG0604").state).toBe("passed");
  });

  it("take services that the file names, that are ours or Istio's, or that go through no waypoint or another", () => {
    const neighbours = {
      named: { [USE_WAYPOINT]: "waypoint" },
      none: { [USE_WAYPOINT]: "none" },
      other: { [USE_WAYPOINT]: "waypoint", "istio.io/use-waypoint-namespace": "other" },
      "shop-agents-reports": {
        [USE_WAYPOINT]: "waypoint",
        "app.kubernetes.io/managed-by": "hopgate",
        "app.kubernetes.io/instance": "shop",
      },
      waypoint: { "gateway.istio.io/managed": "istio.io-mesh-controller" },
      external: { [USE_WAYPOINT]: "waypoint" },
    };
    const seen = withNeighbours(VALIDATING, neighbours, { [USE_WAYPOINT]: "waypoint" });
    expect(resultOf(CALLER_CHECKS, seen, "HG0603").findings).toEqual([]);
  });

  it("do not ask for services behind a waypoint that refuses nothing", () => {
    expect(resultOf(CALLER_CHECKS, healthy(), "HG0603").state).toBe("passed");
  });

  it("take ServiceEntries for other hosts, and our own", () => {
    expect(resultOf(CALLER_CHECKS, withEntry("elsewhere.example.com"), "HG0602").state).toBe("passed");
    const seen = healthy();
    const own = { value: { found: seen.resources.filter(({ kind }) => kind === "ServiceEntry") } };
    expect(own.value.found.length).toBeGreaterThan(0);
    expect(resultOf(CALLER_CHECKS, { ...seen, serviceEntries: own }, "HG0602").state).toBe("passed");
  });

  it("do not take for good what whoever asks may not see", () => {
    const elsewhere = { about: "ServiceEntries of other namespaces", unknown: "you may not list them" };
    const seen = { ...healthy(), serviceEntries: { value: { found: [], elsewhere } } };
    expect(resultOf(CALLER_CHECKS, seen, "HG0602")).toMatchObject({ state: "unknown", unknowns: [elsewhere] });
  });

  it("want no policy where the waypoint checks tokens", () => {
    const mesh = sample({
      hops: `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }`,
      more: "validators: { google: { audiences: [https://shop.example.internal], emails: [a@b.iam.gserviceaccount.com] } }\n",
    });
    expect(resultOf(CALLER_CHECKS, healthy(mesh), "HG0601").state).toBe("passed");
  });
});

function withEntry(host: string): ClusterSeen {
  const entry = {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "old", namespace: "other" },
    spec: { hosts: [host] },
  };
  return { ...healthy(), serviceEntries: { value: { found: [entry] } } };
}

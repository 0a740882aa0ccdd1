import { describe, expect, it } from "vitest";

import { transition } from "../../../shim/plan/transition.js";
import { type Resource, titleOf } from "../../../shim/render/istio/resource.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import { resourcesOf, sample } from "../render/istio/sample.js";

const REPORTS = "https://reports-abc123-uc.a.run.app";
const backendsWith = (reports: string): string => `
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 } }
  reports: { cloudRun: { url: ${REPORTS}, via: serviceEntry }${reports} }`;
const routesTo = (hosts: string): string =>
  `[{ hosts: [${hosts}], to: llm }, { hosts: [reports.example.internal], to: reports, open: a test }]`;

const mesh = (hosts = "a.example.internal", reports = ", through: agents"): readonly Resource[] =>
  resourcesOf(sample({ backends: backendsWith(reports), routes: routesTo(hosts) }));
/** Without what makes the name of a copy of before its own. */
const titles = (resources: readonly Resource[]): string[] =>
  resources.map((resource) => titleOf(resource).replace(/(-before)-[0-9a-f]{8}$/, "$1")).sort();
const configOf = (resources: readonly Resource[], name: string): PluginConfig => {
  const { spec } = resources.find(
    ({ kind, metadata }) => kind === "WasmPlugin" && metadata.name === name,
  ) as unknown as {
    spec: { pluginConfig: PluginConfig };
  };
  return spec.pluginConfig;
};

describe("bringing a mesh into a cluster", () => {
  it("where nothing is: everything but the plugins, and then these", () => {
    const after = mesh();
    const { first, plugins, ...rest } = transition([], after);
    expect(titles([...first, ...plugins])).toEqual(titles(after));
    expect(titles(plugins)).toEqual(["WasmPlugin agents/shop-agents", "WasmPlugin istio-ingress/shop-ingress"]);
    expect(rest).toEqual({
      kept: [],
      bridgePlugins: [],
      movedRoutes: [],
      lateSurroundings: [],
      removedPlugins: [],
      last: [],
    });
  });

  it("where it is already: nothing moves or goes", () => {
    const { first, plugins, ...rest } = transition(mesh(), mesh());
    expect(titles([...first, ...plugins])).toEqual(titles(mesh()));
    for (const resources of Object.values(rest)) expect(resources).toEqual([]);
  });

  it("keeps the route for hosts that go, until the filter that sends requests there has gone", () => {
    const { kept, movedRoutes, last } = transition(mesh("a.example.internal, b.example.internal"), mesh());
    const bridge = "VirtualService istio-ingress/shop-ingress-llm-before";
    expect(titles(kept)).toEqual([bridge]);
    expect(titles(movedRoutes)).toEqual(["VirtualService istio-ingress/shop-ingress-llm"]);
    expect(titles(last)).toEqual([bridge]);
  });

  it("back to nothing: plugins first, then routes, then what they led to", () => {
    const { removedPlugins, last } = transition(mesh(), []);
    expect(removedPlugins.map(({ kind }) => kind)).toEqual(["WasmPlugin", "WasmPlugin"]);
    const kinds = last.map(({ kind }) => kind);
    expect(kinds.indexOf("VirtualService")).toBeLessThan(kinds.indexOf("ServiceEntry"));
    expect(titles([...removedPlugins, ...last])).toEqual(titles(mesh()));
  });
});

describe("a Cloud Run service at another address", () => {
  const at = (url: string, reports = ""): readonly Resource[] =>
    resourcesOf(
      sample({
        backends: backendsWith(reports).replace(REPORTS, url),
        routes: routesTo("a.example.internal"),
      }),
    );
  const OTHER = "https://reports-def456-uc.a.run.app";

  it("the one of before stays known, and is spoken TLS to, until no filter and no route sends anything there", () => {
    const { kept, first, last } = transition(at(REPORTS), at(OTHER));
    expect(titles(kept)).toEqual([
      "DestinationRule istio-ingress/shop-ingress-reports-before",
      "ServiceEntry istio-ingress/shop-reports-before",
    ]);
    expect(kept.map(({ spec }) => JSON.stringify(spec))).toEqual([
      expect.stringContaining("reports-abc123"),
      expect.stringContaining("reports-abc123"),
    ]);
    expect(JSON.stringify(first)).not.toContain("reports-abc123");
    expect(titles(last)).toEqual(titles(kept));
  });

  it("behind a waypoint it is not kept: nothing would say there who may call", () => {
    const { kept } = transition(at(REPORTS, ", through: agents"), at(OTHER, ", through: agents"));
    expect(titles(kept)).toEqual(["DestinationRule agents/shop-agents-reports-before"]);
  });
});

describe("a backend that comes to a waypoint", () => {
  const { first, bridgePlugins, movedRoutes } = transition(mesh("a.example.internal", ""), mesh());

  it("is known there before the gateway sends requests there", () => {
    expect(titles(first)).toContain("HTTPRoute agents/shop-agents-reports");
    expect(titles(movedRoutes)).toEqual(["VirtualService istio-ingress/shop-ingress-reports"]);
    expect(titles(bridgePlugins)).toEqual(["WasmPlugin agents/shop-agents"]);
    expect(configOf(bridgePlugins, "shop-agents")).toEqual(configOf(mesh(), "shop-agents"));
  });
});

describe("what a filter adds tokens for in between is checked as it will be", () => {
  const validators =
    "validators: { google: { audiences: [https://x.example.internal], emails: [a@b.iam.gserviceaccount.com] } }";
  const hops = (edge: string, waypoint: string): string => `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }${edge} }
  agents: { waypoint: { namespace: agents, name: waypoint }${waypoint} }`;
  const routes = routesTo("a.example.internal");
  const validating = resourcesOf(
    sample({
      backends: backendsWith(", through: agents"),
      hops: hops("", ", validate: google"),
      routes,
      more: validators,
    }),
  );

  it("at a waypoint that comes to validate with the service", () => {
    const before = resourcesOf(sample({ backends: backendsWith(""), hops: hops("", ""), routes }));
    const bridge = configOf(transition(before, validating).bridgePlugins, "shop-agents");
    expect(bridge.routes).toMatchObject([{ to: [{ backend: "reports" }], validate: "google" }]);
    expect(bridge.validators).toEqual(configOf(validating, "shop-agents").validators);
  });

  it("at a gateway that was open because the waypoint saw to it", () => {
    const before = resourcesOf(sample({ backends: backendsWith(", through: agents"), hops: hops("", ""), routes }));
    const after = resourcesOf(
      sample({
        backends: backendsWith(""),
        hops: hops(", validate: google", ""),
        routes: routes.replace(", open: a test", ""),
        more: validators,
      }),
    );
    const { routes: between } = configOf(transition(before, after).bridgePlugins, "shop-ingress");
    const [reports] = between.filter(({ hosts }) => hosts.includes("reports.example.internal"));
    expect(reports).toMatchObject({ validate: "google" });
    expect(reports).not.toHaveProperty("open");
  });

  it("with the validator that will be, where both have one of the name", () => {
    const old = validators.replace("a@b.", "anybody@b.");
    const before = resourcesOf(
      sample({ backends: backendsWith(""), hops: hops("", ", validate: google"), routes, more: old }),
    );
    const bridge = configOf(transition(before, validating).bridgePlugins, "shop-agents");
    expect(bridge.validators?.["google"]?.emails).toEqual(["a@b.iam.gserviceaccount.com"]);
  });
});

it("an ingress gateway's port stays open for hosts that go, while the filter that runs has routes for them", () => {
  const { first, lateSurroundings } = transition(mesh("a.example.internal"), mesh("b.example.internal"));
  const hostsOf = (resources: readonly Resource[]): unknown =>
    resources.find(({ kind }) => kind === "Gateway")?.["spec"];
  const hosts = (names: readonly string[]): object => ({ servers: [{ hosts: names }] });
  expect(hostsOf(first.filter(({ apiVersion }) => apiVersion.startsWith("networking.istio.io")))).toMatchObject(
    hosts(["b.example.internal", "reports.example.internal", "a.example.internal"]),
  );
  expect(hostsOf(lateSurroundings)).toMatchObject(hosts(["b.example.internal", "reports.example.internal"]));
});

describe("a backend that leaves a waypoint", () => {
  const { bridgePlugins, plugins, last } = transition(mesh(), mesh("a.example.internal", ""));

  it("gets its token from the gateway before the gateway sends requests past the waypoint", () => {
    expect(titles(bridgePlugins)).toEqual(["WasmPlugin istio-ingress/shop-ingress"]);
    expect(configOf(bridgePlugins, "shop-ingress").backends).toEqual({
      llm: {},
      reports: { token: { audience: REPORTS } },
    });
    expect(configOf(bridgePlugins, "shop-ingress").identity).toEqual(configOf(plugins, "shop-ingress").identity);
  });

  it("is known there until the gateway has ceased to send requests there", () => {
    expect(configOf(mesh(), "shop-agents").routes).toHaveLength(1);
    expect(configOf(plugins, "shop-agents").routes).toEqual([]);
    expect(titles(last)).toContain("HTTPRoute agents/shop-agents-reports");
  });

  it("is checked as it will be, where an edge did not have to before", () => {
    const validators =
      "validators: { google: { audiences: [https://x.example.internal], emails: [a@b.iam.gserviceaccount.com] } }";
    const hops = (validate: string): string => `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint }${validate} }`;
    const unguarded = routesTo("a.example.internal").replace(", open: a test", "");
    const [before, after] = [
      sample({
        backends: backendsWith(", through: agents"),
        hops: hops(", validate: google"),
        routes: unguarded,
        more: validators,
      }),
      sample({ backends: backendsWith(""), hops: hops(""), routes: routesTo("a.example.internal") }),
    ].map((one) => resourcesOf(one)) as [readonly Resource[], readonly Resource[]];
    const { routes } = configOf(transition(before, after).bridgePlugins, "shop-ingress");
    expect(routes.map(({ hosts, open }) => [hosts, open])).toEqual([
      [["a.example.internal"], undefined],
      [["reports.example.internal"], "a test"],
    ]);
  });
});

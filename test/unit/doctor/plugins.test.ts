import { describe, expect, it } from "vitest";

import type { ClusterSeen } from "../../../shim/doctor/seen.js";
import { PLUGIN_CHECKS } from "../../../shim/doctor/plugins.js";
import { describeChecks, healthy, liveWith, pluginWith, resultOf, seenWith } from "./support.js";

const CONFIG = { hop: "agents", routes: [], backends: {} };
const TOKEN = { ...CONFIG, backends: { kb: { token: { audience: "https://kb.example" } } } };
const GATEWAY = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "waypoint" };
const RELOAD = { failStrategy: "FAIL_RELOAD" };

/** Somebody beside us wrote these fields of `spec`. */
function withFields(fields: object, subresource?: string, manager = "kubectl-patch"): ClusterSeen {
  const fieldsV1 = { "f:spec": fields };
  const theirs = {
    manager,
    operation: "Update",
    fieldsV1,
    ...(subresource !== undefined && { subresource }),
  };
  const ours = { manager: "hopgate-shop", operation: "Apply", fieldsV1: { "f:spec": { "f:url": {} } } };
  return liveWith("WasmPlugin istio-ingress/shop-ingress", ({ metadata }) => ({
    metadata: { ...metadata, managedFields: [ours, theirs] },
  }));
}

describe("the checks of plugins", () => {
  describeChecks(PLUGIN_CHECKS, () => healthy(), [
    {
      code: "HG0401",
      what: "a selector on a waypoint",
      seen: () => pluginWith("agents", { selector: { matchLabels: { app: "waypoint" } }, pluginConfig: CONFIG }),
      says: "WasmPlugin agents/by-hand: it has a selector, and no targetRefs",
    },
    {
      code: "HG0401",
      what: "a waypoint's label in the selector of whatever hop",
      seen: () =>
        pluginWith("agents", {
          selector: { matchLabels: { "gateway.networking.k8s.io/gateway-name": "waypoint" } },
          pluginConfig: { ...CONFIG, hop: "elsewhere" },
        }),
      says: "it has a selector, and no targetRefs",
    },
    {
      code: "HG0402",
      what: "a ServiceEntry as the target",
      seen: () => pluginWith("agents", { targetRefs: [{ kind: "ServiceEntry", name: "kb" }], pluginConfig: CONFIG }),
      says: "it targets ServiceEntry kb",
    },
    {
      code: "HG0402",
      what: "a Gateway of another namespace",
      seen: () => pluginWith("agents", { targetRefs: [{ ...GATEWAY, namespace: "infra" }], pluginConfig: CONFIG }),
      says: "it targets Gateway infra/waypoint",
    },
    {
      code: "HG0403",
      what: "a phase before Istio's policies",
      seen: () => pluginWith("agents", { targetRefs: [GATEWAY], phase: "AUTHN", pluginConfig: CONFIG }),
      says: "its phase is AUTHN",
    },
    {
      code: "HG0404",
      what: "FAIL_OPEN where tokens are added",
      seen: () => pluginWith("agents", { targetRefs: [GATEWAY], failStrategy: "FAIL_OPEN", pluginConfig: TOKEN }),
      says: "its failStrategy is FAIL_OPEN",
    },
    {
      code: "HG0404",
      what: "FAIL_OPEN of a TrafficExtension",
      seen: () =>
        pluginWith("agents", { targetRefs: [GATEWAY], wasm: { failStrategy: "FAIL_OPEN", pluginConfig: TOKEN } }),
      says: "its failStrategy is FAIL_OPEN",
    },
    {
      code: "HG0405",
      what: "no failStrategy, which is FAIL_CLOSE",
      seen: () => pluginWith("agents", { targetRefs: [GATEWAY], pluginConfig: CONFIG }),
      says: "its failStrategy is FAIL_CLOSE",
    },
    {
      code: "HG0406",
      what: "the filter twice in one waypoint",
      seen: () => pluginWith("agents", { ...RELOAD, targetRefs: [GATEWAY], pluginConfig: CONFIG }),
      says: "it brings the filter into the proxies of hop agents too",
    },
    {
      code: "HG0406",
      what: "the filter in all proxies of a gateway's namespace",
      seen: () => pluginWith("istio-ingress", { ...RELOAD, pluginConfig: { ...CONFIG, hop: "all" } }),
      says: "WasmPlugin istio-ingress/by-hand: it brings the filter into the proxies of hop ingress too",
    },
    {
      code: "HG0407",
      what: "another waypoint that adds what our gateway has added",
      seen: () =>
        pluginWith("agents", {
          ...RELOAD,
          targetRefs: [{ ...GATEWAY, name: "other" }],
          pluginConfig: {
            ...CONFIG,
            match: "service",
            backends: { kb: { token: { audience: "https://kb-abc123-uc.a.run.app" } } },
          },
        }),
      says: "it adds a token for https://kb-abc123-uc.a.run.app, and so does WasmPlugin istio-ingress/shop-ingress",
    },
    {
      code: "HG0408",
      what: "a filter without priority beside one that adds tokens",
      seen: () =>
        pluginWith("istio-ingress", { selector: { matchLabels: { istio: "ingressgateway" } }, url: "oci://waf" }),
      says: "WasmPlugin istio-ingress/by-hand: it has neither phase nor priority",
    },
    {
      code: "HG0419",
      what: "a field that somebody added",
      seen: () => withFields({ "f:selector": { "f:matchLabels": { "f:extra": {} } }, "f:phase": {} }),
      says: 'WasmPlugin istio-ingress/shop-ingress: it has spec.selector.matchLabels.extra of "kubectl-patch", spec.phase of "kubectl-patch"',
    },
  ]);

  it("say how to take away what was added, and nothing else", () => {
    const seen = withFields({ "f:selector": { "f:matchLabels": { "f:extra": {} } }, "f:phase": {} });
    const [finding] = resultOf(PLUGIN_CHECKS, seen, "HG0419").findings;
    expect(finding?.fix).toBe(
      "kubectl patch wasmplugins shop-ingress --namespace istio-ingress --type merge " +
        `--patch '{"spec":{"selector":{"matchLabels":{"extra":null}},"phase":null}}'`,
    );
  });

  it("take away all of what the file does not have, and see an update under our own name", () => {
    const seen = withFields({ "f:vmConfig": { "f:env": {} } }, undefined, "hopgate-shop");
    const [finding] = resultOf(PLUGIN_CHECKS, seen, "HG0419").findings;
    expect(finding?.reason).toBe('it has spec.vmConfig of "hopgate-shop"');
    expect(finding?.fix).toContain(`--patch '{"spec":{"vmConfig":null}}'`);
  });

  it("take what is the file's too, and what somebody says of the status", () => {
    expect(resultOf(PLUGIN_CHECKS, withFields({ "f:priority": {}, "f:selector": {} }), "HG0419").state).toBe("passed");
    expect(resultOf(PLUGIN_CHECKS, withFields({ "f:phase": {} }, "status"), "HG0419").state).toBe("passed");
  });

  it("leave other filters alone, wherever else they are", () => {
    const other = { url: "oci://waf", phase: "AUTHN", priority: 5, failStrategy: "FAIL_OPEN" };
    for (const { code } of PLUGIN_CHECKS) {
      expect(resultOf(PLUGIN_CHECKS, pluginWith("istio-ingress", other), code).state, code).toBe("passed");
    }
  });

  it("let a hop that only routes fail open", () => {
    const spec = { targetRefs: [GATEWAY], failStrategy: "FAIL_OPEN", pluginConfig: CONFIG };
    expect(resultOf(PLUGIN_CHECKS, pluginWith("agents", spec), "HG0404").state).toBe("passed");
  });

  it("take what may not be listed for not known", () => {
    const plugins = new Map([["agents", { unknown: "forbidden" }]]);
    const live = new Map([["WasmPlugin agents/shop-agents", { unknown: "forbidden" }]]);
    for (const { code } of PLUGIN_CHECKS)
      expect(resultOf(PLUGIN_CHECKS, seenWith({ plugins, live }), code).state, code).toBe("unknown");
  });
});

import { describe, expect, it } from "vitest";

import { bridgeSurroundings } from "../../../shim/plan/bridge-surroundings.js";
import { inventory } from "../../../shim/plan/inventory.js";
import type { Revision, RevisionState } from "../../../shim/plan/revision.js";
import { transition } from "../../../shim/plan/transition.js";
import type { JsonObject } from "../../../shim/render/envoy/json.js";
import { type Resource, titleOf } from "../../../shim/render/istio/resource.js";
import { resource, resourcesOf, sample } from "../render/istio/sample.js";

const VALIDATORS =
  "validators: { google: { audiences: [https://x.example.internal], emails: [a@b.iam.gserviceaccount.com] } }";

/** With key sets to fetch, or without. */
const mesh = (validates: boolean): readonly Resource[] =>
  resourcesOf(
    sample({
      routes: `
  - { hosts: [llm.example.internal], to: llm${validates ? ", validate: google" : ""} }
  - { hosts: [kb.example.internal], to: kb, open: a test }`,
      ...(validates && { more: VALIDATORS }),
    }),
  );
const referencesOf = (resources: readonly Resource[]): unknown =>
  (resource(resources, "EnvoyFilter", "shop-ingress").metadata["annotations"] as JsonObject)[
    "envoyfilter.istio.io/referenced-services"
  ];

describe("the clusters of the filter's own calls", () => {
  it("stay while the filter that calls them runs, and go when the next one does", () => {
    const [more, less] = [mesh(true), mesh(false)];
    expect(referencesOf(less)).toBe("metadata.google.internal");
    const { first, lateSurroundings } = transition(more, less);
    expect(referencesOf(first)).toBe("metadata.google.internal,www.googleapis.com");
    expect(lateSurroundings.map(titleOf)).toEqual(["EnvoyFilter istio-ingress/shop-ingress"]);
    expect(referencesOf(lateSurroundings)).toBe("metadata.google.internal");
  });

  it("come before the filter that calls them, at once", () => {
    const { first, lateSurroundings } = transition(mesh(false), mesh(true));
    expect(referencesOf(first)).toBe("metadata.google.internal,www.googleapis.com");
    expect(lateSurroundings).toEqual([]);
  });

  const revision = (number: number, state: RevisionState, resources: readonly Resource[]): Revision => ({
    ...{ format: 1, number, state, mesh: "shop", image: "", hops: [], resources, adopted: [], startedAt: "" },
  });

  it("are also those of the filter that still runs behind a deployment which ended half way", () => {
    const known = [revision(1, "deployed", mesh(true)), revision(2, "pending", mesh(false))];
    expect(referencesOf(transition(inventory(known), mesh(false)).first)).toContain("www.googleapis.com");
  });

  it("are not those of a deployment that was undone", () => {
    const known = [revision(1, "deployed", mesh(false)), revision(2, "failed", mesh(true))];
    expect(transition(inventory(known), mesh(false)).lateSurroundings).toEqual([]);
  });
});

describe("who may call through a waypoint, in between", () => {
  const policy = (from: readonly JsonObject[], ...services: readonly string[]): Resource => ({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p", namespace: "agents" },
    spec: {
      targetRefs: services.map((name) => ({ group: "", kind: "Service", name })),
      action: "ALLOW",
      rules: [{ from: from.map((source) => ({ source })) }],
    },
  });
  const rulesBetween = (before: readonly JsonObject[], after: readonly JsonObject[]): unknown =>
    (bridgeSurroundings(policy(before, "a"), policy(after, "a"))["spec"] as JsonObject)["rules"];

  it("is who may before and after: nobody new comes before the filter that checks him", () => {
    expect(rulesBetween([{ namespaces: ["a", "b"] }], [{ namespaces: ["b", "c"] }])).toEqual([
      { from: [{ source: { namespaces: ["b"] } }] },
    ]);
    const { first, lateSurroundings } = transition(
      [policy([{ namespaces: ["a"] }], "a")],
      [policy([{ namespaces: ["a", "b"] }], "a")],
    );
    expect(first).toEqual([policy([{ namespaces: ["a"] }], "a")]);
    expect(lateSurroundings).toEqual([policy([{ namespaces: ["a", "b"] }], "a")]);
  });

  it("is an account of a namespace that may, where one of the two names the account and the other the namespace", () => {
    const account = "*/ns/a/sa/caller";
    for (const [before, after] of [
      [{ namespaces: ["a"] }, { principals: [account] }],
      [{ principals: [account] }, { namespaces: ["a"] }],
    ] as const)
      expect(rulesBetween([before], [after])).toEqual([{ from: [{ source: { principals: [account] } }] }]);
  });

  it("is nobody where nobody may both times: no rule, for a rule without callers would let in all", () => {
    expect(rulesBetween([{ namespaces: ["a"] }], [{ principals: ["*/ns/b/sa/c"] }])).toEqual([]);
  });

  it("is said for all services that either names", () => {
    const between = bridgeSurroundings(policy([{ namespaces: ["a"] }], "old"), policy([{ namespaces: ["a"] }], "new"));
    expect(between).toEqual(policy([{ namespaces: ["a"] }], "new", "old"));
  });

  it("does not wait where it is the same", () => {
    const same = policy([{ namespaces: ["a"] }, { principals: ["*/ns/b/sa/c"] }], "a");
    expect(bridgeSurroundings(same, structuredClone(same))).toEqual(same);
  });
});

it("a grant covers the services of routes of before and after", () => {
  const grant = (...names: readonly string[]): Resource => ({
    apiVersion: "gateway.networking.k8s.io/v1beta1",
    kind: "ReferenceGrant",
    metadata: { name: "g", namespace: "llm" },
    spec: { from: [], to: names.map((name) => ({ group: "", kind: "Service", name })) },
  });
  expect(bridgeSurroundings(grant("a", "b"), grant("b", "c"))).toEqual(grant("b", "c", "a"));
});

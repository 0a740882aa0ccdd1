import { describe, expect, it } from "vitest";
import { parsePinnedImage } from "../../../../shim/render/image.js";
import { groupOf, pluralOf } from "../../../../shim/render/istio/api-path.js";
import { roles } from "../../../../shim/render/istio/rbac.js";
import { inOrder, meshResources } from "../../../../shim/render/istio/resources.js";
import { IMAGE, sample } from "./sample.js";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const backends = `
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 }, through: agents }
  kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }`;
const routes = "[{ hosts: [a.example.internal], to: llm }, { hosts: [b.example.internal], to: kb, open: a test }]";
const mesh = sample({ backends, routes });
const resources = meshResources(mesh, { image: parsePinnedImage(IMAGE), api: "wasmplugin" });
const made = roles(mesh, resources);
const rulesIn = (namespace: string): readonly Rule[] =>
  made
    .filter(({ kind, metadata }) => kind === "Role" && metadata.namespace === namespace)
    .flatMap((role) => role["rules"] as unknown as Rule[]);

describe("the roles", () => {
  it("let every resource be made, changed and removed in its namespace, and none elsewhere", () => {
    for (const one of inOrder(resources).filter(({ kind }) => kind !== "Service")) {
      const rule = rulesIn(one.metadata.namespace).find(
        ({ apiGroups, resources: plurals }) => apiGroups.includes(groupOf(one)) && plurals.includes(pluralOf(one)),
      );
      expect(rule?.verbs, one.kind).toEqual(["get", "create", "patch", "delete"]);
    }
    expect(rulesIn("llm-ns").flatMap(({ resources: plurals }) => plurals)).toEqual([
      "services",
      "httproutes",
      "endpointslices",
    ]);
  });

  it("let a Service that is another's be labelled, by name, not made or removed", () => {
    expect(rulesIn("llm-ns")[0]).toEqual({
      apiGroups: [""],
      resources: ["services"],
      resourceNames: ["llm"],
      verbs: ["get", "patch"],
    });
  });

  it("let a Service of ours be made and removed, by name", () => {
    const shop = sample();
    const all = roles(shop, meshResources(shop, { image: parsePinnedImage(IMAGE), api: "wasmplugin" }));
    const rules = all.flatMap((role) => (role["rules"] ?? []) as unknown as Rule[]);
    expect(
      rules.filter(({ resources: plurals, verbs }) => plurals.includes("services") && verbs.includes("create")),
    ).toEqual([
      {
        apiGroups: [""],
        resources: ["services"],
        resourceNames: ["shop-agents-reports"],
        verbs: ["get", "create", "patch", "delete"],
      },
    ]);
  });

  it("let doctor look at the services that are only routed to, and at what else is for the proxies, and no more", () => {
    const direct = sample();
    const rules = roles(direct, meshResources(direct, { image: parsePinnedImage(IMAGE), api: "wasmplugin" }))
      .filter(({ kind, metadata }) => kind === "Role" && metadata.namespace === "llm-ns")
      .flatMap((role) => role["rules"] as unknown as Rule[]);
    expect(rules).toEqual([
      { apiGroups: [""], resources: ["services"], resourceNames: ["llm"], verbs: ["get"] },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list"] },
    ]);
    const listed = rulesIn("agents").filter(({ verbs }) => verbs.includes("list"));
    expect(listed.flatMap(({ resources: plurals }) => plurals)).toEqual([
      "pods",
      "wasmplugins",
      "trafficextensions",
      "destinationrules",
      "serviceentries",
    ]);
  });

  it("let the proxies be found and asked, where there are hops", () => {
    const withPods = ["agents", "istio-ingress", "llm-ns"].filter((namespace) =>
      rulesIn(namespace).some(({ resources: plurals }) => plurals.includes("pods/proxy")),
    );
    expect(withPods).toEqual(["agents", "istio-ingress"]);
  });

  it("open no Secret but the ten of the revisions, and nothing for the whole cluster", () => {
    const secrets = ["agents", "istio-ingress", "llm-ns"].flatMap((namespace) =>
      rulesIn(namespace)
        .filter(({ resources: plurals }) => plurals.includes("secrets"))
        .map(({ resourceNames, verbs }) => ({ namespace, resourceNames, verbs })),
    );
    expect(secrets).toEqual([
      {
        namespace: "istio-ingress",
        resourceNames: Array.from({ length: 10 }, (_, slot) => `shop-revision-${String(slot)}`),
        // A new one is created by a patch, and one that is there replaced.
        verbs: ["get", "create", "update", "patch", "delete"],
      },
    ]);
    expect(new Set(made.map(({ kind }) => kind))).toEqual(new Set(["Role", "RoleBinding"]));
    expect(JSON.stringify(made)).not.toContain('"*"');
  });

  it("let the services be listed that a waypoint would refuse requests to, and nowhere else", () => {
    const rejecting = sample({
      backends,
      routes,
      hops: `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint }, unmatched: reject }`,
    });
    const rules = (of: typeof rejecting): readonly string[] =>
      roles(of, meshResources(of, { image: parsePinnedImage(IMAGE), api: "wasmplugin" })).flatMap((role) =>
        ((role["rules"] ?? []) as unknown as Rule[])
          .filter(({ resources: plurals, verbs }) => plurals.includes("services") && verbs.includes("list"))
          .map(() => role.metadata.namespace),
      );
    expect(rules(rejecting)).toEqual(["agents", "llm-ns"]);
    expect(rules(mesh)).toEqual([]);
  });

  it("let GCPBackends be made where the file wants them, without asking a cluster", () => {
    const wanting = sample({ backends: backends.replace("via: serviceEntry", "via: gcpBackend"), routes });
    const rules = (of: typeof wanting): readonly string[] =>
      roles(of, meshResources(of, { image: parsePinnedImage(IMAGE), api: "wasmplugin" })).flatMap((role) =>
        ((role["rules"] ?? []) as unknown as Rule[])
          .filter(({ apiGroups }) => apiGroups.includes("networking.gke.io"))
          .map(() => role.metadata.namespace),
      );
    expect(rules(wanting)).toEqual(["agents", "istio-ingress"]);
    expect(rules(mesh)).toEqual([]);
  });
});

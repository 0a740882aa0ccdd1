import { describe, expect, it } from "vitest";
import { UsageError } from "../../../../shim/errors.js";
import { stageOf } from "../../../../shim/render/istio/resource.js";
import { pluginConfigFor } from "../../../../shim/render/plugin-config-for.js";
import { IMAGE, resource, resourcesOf, sample } from "./sample.js";

const ofSample = resourcesOf(sample());
const BOTH_IN_ONE = `
  ingress: { gateway: { namespace: agents, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint } }`;
const GATEWAY_API = `
  ingress: { gateway: { namespace: istio-ingress, name: public, tls: false, port: 8080 }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint } }`;

describe("the plugin", () => {
  it("reaches a gateway by selector and a waypoint by reference, where a selector does nothing", () => {
    expect(resource(ofSample, "WasmPlugin", "shop-ingress")["spec"]).toMatchObject({
      selector: { matchLabels: { istio: "ingressgateway" } },
    });
    const { spec } = resource(ofSample, "WasmPlugin", "shop-agents");
    expect(spec).not.toHaveProperty("selector");
    expect(spec).toMatchObject({
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "waypoint" }],
    });
  });

  it("reaches a gateway of the Gateway API by reference too", () => {
    const { spec } = resource(resourcesOf(sample({ hops: GATEWAY_API })), "WasmPlugin", "shop-ingress");
    expect(spec).not.toHaveProperty("selector");
    expect(spec).toMatchObject({ targetRefs: [{ kind: "Gateway", name: "public" }] });
  });

  it("is one image that cannot change, reloads after a trap, and has no phase", () => {
    const { spec } = resource(ofSample, "WasmPlugin", "shop-ingress");
    expect(spec).toMatchObject({ url: `oci://${IMAGE}`, sha256: "ab".repeat(32), failStrategy: "FAIL_RELOAD" });
    expect(spec).not.toHaveProperty("phase");
  });

  it("has the configuration of its hop", () => {
    const { spec } = resource(ofSample, "WasmPlugin", "shop-agents");
    expect(spec).toMatchObject({ pluginConfig: pluginConfigFor(sample(), "agents") });
  });

  it("says the same as a TrafficExtension, where that is wanted", () => {
    const { spec, kind } = resource(resourcesOf(sample(), "trafficextension"), "TrafficExtension", "shop-agents");
    expect(kind).toBe("TrafficExtension");
    expect(spec).toMatchObject({
      targetRefs: [{ name: "waypoint" }],
      wasm: { url: `oci://${IMAGE}`, failStrategy: "FAIL_RELOAD", pluginConfig: { hop: "agents" } },
    });
  });

  it("names the Secret for the image where the file does", () => {
    const { spec } = resource(resourcesOf(sample({ more: "imagePullSecret: pull" })), "WasmPlugin", "shop-ingress");
    expect(spec).toMatchObject({ imagePullSecret: "pull" });
  });
});

describe("routes", () => {
  const allMatches = (kind: string, hops?: string): unknown[] =>
    resourcesOf(sample(hops === undefined ? {} : { hops }))
      .filter((one) => one.kind === kind)
      .flatMap(
        ({ spec }) => (spec as { http?: object[]; rules?: object[] }).http ?? (spec as { rules: object[] }).rules,
      )
      .map((rule) => rule as { match?: unknown[]; matches?: unknown[] })
      .map(({ match, matches }) => match ?? matches);

  it("of gateways match the header that the filter sets, at the gateway's namespace, and nothing else", () => {
    expect(allMatches("VirtualService")).toEqual(
      ["llm", "kb", "reports"].map((exact) => [
        { headers: { "x-hopgate-backend": { exact } }, sourceNamespace: "istio-ingress" },
      ]),
    );
  });

  it("of the Gateway API do the same, at gateways and at waypoints", () => {
    const header = (value: string): object[] => [{ headers: [{ type: "Exact", name: "x-hopgate-backend", value }] }];
    expect(allMatches("HTTPRoute", GATEWAY_API)).toEqual(["llm", "kb", "reports", "reports"].map(header));
  });

  it("lead a backend's hosts to it, also those of a split", () => {
    const { spec } = resource(ofSample, "VirtualService", "shop-ingress-llm");
    expect(spec).toMatchObject({
      hosts: ["llm.example.internal", "*.llm.example.internal", "kb.example.internal"],
      gateways: ["istio-ingress/shop-ingress"],
      http: [{ route: [{ destination: { host: "llm.llm-ns.svc.cluster.local", port: { number: 80 } } }] }],
    });
    expect(JSON.stringify(spec)).not.toContain("rewrite");
  });

  it("give a Cloud Run service its own host name, at whichever hop is the last before it", () => {
    const host = "reports-abc123-uc.a.run.app";
    expect(resource(ofSample, "VirtualService", "shop-ingress-reports")["spec"]).toMatchObject({
      http: [{ rewrite: { authority: host } }],
    });
    expect(resource(ofSample, "HTTPRoute", "shop-agents-reports")["spec"]).toMatchObject({
      parentRefs: [
        { kind: "ServiceEntry", name: "shop-reports", port: 80 },
        { kind: "Service", name: "shop-agents-reports", port: 80 },
      ],
      rules: [
        { filters: [{ urlRewrite: { hostname: host } }], backendRefs: [{ kind: "Hostname", name: host, port: 80 }] },
      ],
    });
  });

  it("of the Gateway API have at most 16 hosts each, and may lead to other namespaces", () => {
    const hosts = Array.from({ length: 17 }, (_, index) => `h${String(index)}.example.internal`);
    const resources = resourcesOf(sample({ hops: GATEWAY_API, routes: `[{ hosts: [${hosts.join()}], to: llm }]` }));
    const hostnames = (name: string): unknown =>
      (resource(resources, "HTTPRoute", name)["spec"] as { hostnames: unknown }).hostnames;
    expect([hostnames("shop-ingress-llm"), hostnames("shop-ingress-llm-2")]).toEqual([
      hosts.slice(0, 16),
      hosts.slice(16),
    ]);
    expect(resource(resources, "ReferenceGrant", "shop-ingress", "llm-ns")["spec"]).toEqual({
      from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "istio-ingress" }],
      to: [{ group: "", kind: "Service", name: "llm" }],
    });
  });
});

describe("hosts outside the mesh", () => {
  it("of a gateway are known in its namespace, and get TLS with the name checked from its Pods alone", () => {
    const host = "kb-abc123-uc.a.run.app";
    expect(resource(ofSample, "ServiceEntry", "shop-kb")).toMatchObject({
      metadata: { namespace: "istio-ingress" },
      spec: { hosts: [host], exportTo: ["."], ports: [{ number: 80, protocol: "HTTP", targetPort: 443 }] },
    });
    expect(resource(ofSample, "DestinationRule", "shop-ingress-kb")["spec"]).toEqual({
      host,
      exportTo: ["."],
      workloadSelector: { matchLabels: { istio: "ingressgateway" } },
      trafficPolicy: { tls: { mode: "SIMPLE", sni: host, subjectAltNames: [host], caCertificates: "system" } },
    });
  });

  it("of a waypoint are known everywhere, go through it from gateways too, and get TLS in its namespace alone", () => {
    expect(resource(ofSample, "ServiceEntry", "shop-reports")).toMatchObject({
      metadata: { labels: { "istio.io/use-waypoint": "waypoint", "istio.io/ingress-use-waypoint": "true" } },
    });
    const { metadata, spec } = resource(ofSample, "DestinationRule", "shop-agents-reports");
    expect(metadata.namespace).toBe("agents");
    expect(spec).toMatchObject({ exportTo: ["."], trafficPolicy: { tls: { mode: "SIMPLE" } } });
    // Istio looks the rule up as for inbound traffic, and then honours no selector.
    expect(spec).not.toHaveProperty("workloadSelector");
    expect(
      ofSample.filter(
        ({ kind, metadata: { namespace } }) => kind === "DestinationRule" && namespace === "istio-ingress",
      ),
    ).toHaveLength(1);
  });

  it("of a waypoint have a Service for gateways, which pass by the waypoint of a host that is found by DNS", () => {
    const host = "shop-agents-reports.agents.svc.cluster.local";
    expect(resource(ofSample, "Service", "shop-agents-reports")).toMatchObject({
      metadata: {
        namespace: "agents",
        labels: { "istio.io/use-waypoint": "waypoint", "istio.io/ingress-use-waypoint": "true" },
      },
      spec: { ports: [{ name: "http", port: 80, protocol: "TCP", appProtocol: "http" }] },
    });
    expect(resource(ofSample, "VirtualService", "shop-ingress-reports")["spec"]).toMatchObject({
      http: [{ route: [{ destination: { host, port: { number: 80 } } }] }],
    });
    expect(resource(ofSample, "WasmPlugin", "shop-agents")["spec"]).toMatchObject({
      pluginConfig: { routes: [{ hosts: ["reports-abc123-uc.a.run.app", host], to: [{ backend: "reports" }] }] },
    });
    expect(resource(ofSample, "AuthorizationPolicy", "shop-agents-reports")["spec"]).toMatchObject({
      targetRefs: [
        { kind: "ServiceEntry", name: "shop-reports" },
        { kind: "Service", name: "shop-agents-reports" },
      ],
    });
  });

  it("of a waypoint are that Service for a gateway of the Gateway API too, which has to be granted", () => {
    const resources = resourcesOf(sample({ hops: GATEWAY_API }));
    expect(resource(resources, "HTTPRoute", "shop-ingress-reports")["spec"]).toMatchObject({
      rules: [{ backendRefs: [{ kind: "Service", name: "shop-agents-reports", namespace: "agents", port: 80 }] }],
    });
    expect(resource(resources, "ReferenceGrant", "shop-ingress", "agents")["spec"]).toMatchObject({
      to: [{ kind: "Service", name: "shop-agents-reports" }],
    });
  });

  it("of a waypoint have no such Service where no gateway leads there", () => {
    const hops = "\n  agents: { waypoint: { namespace: agents, name: waypoint } }";
    const backends =
      "\n  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }";
    expect(resourcesOf(sample({ hops, routes: "[]", backends })).filter(({ kind }) => kind === "Service")).toEqual([]);
  });

  it("of a waypoint refuse names of which no Service could be called", () => {
    const long = "x".repeat(52);
    const backends = `\n  ${long}: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }`;
    const routes = `[{ hosts: [x.example.internal], to: ${long}, open: a test }]`;
    expect(() => resourcesOf(sample({ backends, routes }))).toThrow(UsageError);
  });

  it("are one where two backends have one", () => {
    const backends = `
  a: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }
  b: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry, audience: https://b.example.internal } }`;
    const routes = "[{ hosts: [x.example.internal], split: { a: 50, b: 50 }, open: a test }]";
    const names = resourcesOf(sample({ backends, routes, hops: BOTH_IN_ONE }))
      .filter(({ kind }) => kind === "ServiceEntry")
      .map(({ metadata }) => metadata.name);
    expect(names).toEqual(["shop-metadata-google-internal", "shop-a"]);
  });

  it("that the filter calls come into its proxy with an EnvoyFilter whose list has no spaces", () => {
    const mesh = sample({
      more: "validators: { google: { audiences: [https://x.example.internal], emails: [a@b.iam.gserviceaccount.com] } }",
      hops: "\n  agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }",
      routes: "[]",
      backends:
        "\n  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }",
    });
    const resources = resourcesOf(mesh);
    expect(resource(resources, "EnvoyFilter", "shop-agents")).toMatchObject({
      metadata: {
        annotations: { "envoyfilter.istio.io/referenced-services": "metadata.google.internal,www.googleapis.com" },
      },
      spec: { targetRefs: [{ name: "waypoint" }] },
    });
    expect(resource(resources, "ServiceEntry", "shop-metadata-google-internal")["spec"]).toMatchObject({
      hosts: ["metadata.google.internal"],
      ports: [{ number: 80, protocol: "HTTP" }],
    });
    expect(resource(resources, "DestinationRule", "shop-agents-www-googleapis-com")["spec"]).toMatchObject({
      trafficPolicy: { tls: { mode: "SIMPLE", sni: "www.googleapis.com", subjectAltNames: ["www.googleapis.com"] } },
    });
  });
});

describe("who may use a waypoint's identity", () => {
  const rulesFor = (hop: string): unknown =>
    (
      resource(
        resourcesOf(
          sample({
            hops: `\n  ingress: { gateway: { namespace: istio-ingress, selector: { a: b } } }\n  agents: ${hop}`,
          }),
        ),
        "AuthorizationPolicy",
        "shop-agents-reports",
      )["spec"] as { rules: unknown }
    ).rules;

  it("are the gateways in front and the waypoint's namespace, where the file says nothing", () => {
    expect(rulesFor("{ waypoint: { namespace: agents, name: waypoint } }")).toEqual([
      { from: [{ source: { namespaces: ["agents", "istio-ingress"] } }] },
    ]);
  });

  it("are those that the file names", () => {
    expect(rulesFor("{ waypoint: { namespace: agents, name: waypoint }, callers: [batch, web/front] }")).toEqual([
      { from: [{ source: { namespaces: ["batch"] } }, { source: { principals: ["*/ns/web/sa/front"] } }] },
    ]);
  });

  it("is left to the filter where it validates", () => {
    const mesh = sample({
      more: "validators: { google: { audiences: [https://x.example.internal], emails: [a@b.iam.gserviceaccount.com] } }",
      hops: "\n  ingress: { gateway: { namespace: istio-ingress, selector: { a: b } } }\n  agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }",
    });
    expect(resourcesOf(mesh).filter(({ kind }) => kind === "AuthorizationPolicy")).toEqual([]);
  });
});

describe("a service of the cluster behind a waypoint", () => {
  const backends = "\n  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 }, through: agents }";
  const resources = resourcesOf(sample({ backends, routes: "[{ hosts: [llm.example.internal], to: llm }]" }));

  it("gets labels and nothing else: it is its owner's", () => {
    expect(resource(resources, "Service", "llm")).toEqual({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "llm",
        namespace: "llm-ns",
        labels: {
          "istio.io/use-waypoint": "waypoint",
          "istio.io/use-waypoint-namespace": "agents",
          "istio.io/ingress-use-waypoint": "true",
        },
      },
      spec: {},
    });
  });

  it("has its route in its own namespace, which the waypoint lets in", () => {
    expect(resource(resources, "HTTPRoute", "shop-agents-llm").metadata.namespace).toBe("llm-ns");
    expect(JSON.stringify(resource(resources, "Gateway", "waypoint"))).toContain('"values":["agents","llm-ns"]');
  });
});

describe("the resources of a mesh", () => {
  it("come in the order in which they are applied: what routes lead to, routes, plugins", () => {
    const stages = ofSample.map(stageOf);
    expect(stages).toEqual(
      [...stages].sort(
        (a, b) => ["surroundings", "routes", "plugin"].indexOf(a) - ["surroundings", "routes", "plugin"].indexOf(b),
      ),
    );
    expect(new Set(stages).size).toBe(3);
  });

  it("are the same each time", () => {
    expect(JSON.stringify(resourcesOf(sample()))).toBe(JSON.stringify(ofSample));
  });

  it("say that they are ours, but not on what others may own", () => {
    const unlabelled = ofSample.filter(
      ({ metadata }) => !JSON.stringify(metadata).includes('"app.kubernetes.io/managed-by":"hopgate"'),
    );
    expect(unlabelled.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(["Gateway waypoint"]);
  });

  it("refuse a name that Kubernetes would", () => {
    const hops =
      "\n  in-: { gateway: { namespace: istio-ingress, selector: { a: b } } }\n  agents: { waypoint: { namespace: agents, name: waypoint } }";
    expect(() => resourcesOf(sample({ hops }))).toThrow(UsageError);
  });

  it("refuse two that would have one name", () => {
    const hops = `
  a: { gateway: { namespace: g, selector: { a: b } } }
  a-b: { gateway: { namespace: g, selector: { a: c } } }`;
    const backends = `
  b-x: { kubernetes: { service: s, namespace: n, port: 80 } }
  x: { kubernetes: { service: t, namespace: n, port: 80 } }`;
    const routes = "[{ hosts: [y.example.internal], to: b-x }, { hosts: [x.example.internal], to: x }]";
    expect(() => resourcesOf(sample({ hops, backends, routes }))).toThrow("VirtualService g/shop-a-b-x");
  });
});

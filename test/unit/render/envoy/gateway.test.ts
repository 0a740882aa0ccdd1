import { describe, expect, it } from "vitest";
import { Failure } from "../../../../shim/errors.js";
import { renderGateway } from "../../../../shim/render/envoy/gateway.js";
import type { JsonObject } from "../../../../shim/render/envoy/json.js";
import { virtualIps } from "../../../../shim/render/envoy/vips.js";
import {
  cloudRun,
  everywhere,
  fileOf,
  gatewayInput,
  kubernetes,
  meshOf,
  resource,
  resources,
  route,
} from "./sample.js";

const llm = kubernetes("llm");
const kb = cloudRun("kb");
const reports = cloudRun("reports", { through: "agents" });

const mesh = meshOf(
  [llm, kb, reports],
  [
    route("z.example.internal", "llm"),
    route("*.a.example.internal", "kb", "llm"),
    route("r.example.internal", "reports"),
  ],
);
const files = renderGateway(gatewayInput(mesh));

const LLM = "outbound|80||llm.llm-ns.svc.cluster.local";
const KB = "outbound|80||kb-abc123-uc.a.run.app";
const REPORTS = "outbound|80||reports-abc123-uc.a.run.app";

function routesOf(rendered: ReturnType<typeof renderGateway>): readonly JsonObject[] {
  return everywhere("routes", fileOf(rendered, "rds.json")).flat() as readonly JsonObject[];
}

describe("the files of a gateway", () => {
  it("come in the order in which Envoy may read them: what is referred to first", () => {
    expect(files.map((file) => file.name)).toEqual(["cds.json", "ecds.json", "rds.json", "lds.json", "envoy.json"]);
  });

  it("refer to each other by paths in the work folder", () => {
    const paths = everywhere("path_config_source", [fileOf(files, "envoy.json"), fileOf(files, "lds.json")]);
    expect(paths).toEqual(["cds", "lds", "ecds", "rds"].map((name) => ({ path: `/run/hop/${name}.json` })));
  });

  it("hold plain JSON", () => {
    expect(JSON.parse(JSON.stringify(files))).toEqual(files);
  });
});

describe("the routes of a gateway", () => {
  it("has a virtual host for each host name, named and sorted as istiod does", () => {
    const configuration = resource(files, "rds.json", "https.443.https.hopgate.istio-ingress");
    expect(everywhere("domains", configuration)).toEqual([
      ["*.a.example.internal"],
      ["r.example.internal"],
      ["z.example.internal"],
    ]);
    expect(configuration.virtual_hosts).toMatchObject([
      { name: "*.a.example.internal:443" },
      { name: "r.example.internal:443" },
      { name: "z.example.internal:443" },
    ]);
    expect(configuration.ignore_port_in_host_matching).toBe(true);
  });

  it("leads each arm of a split to its own cluster, by the filter's header alone", () => {
    const split = routesOf(files).slice(0, 2);
    expect(split).toMatchObject([
      { name: "kb", route: { cluster: KB } },
      { name: "llm", route: { cluster: LLM } },
    ]);
  });

  it("never matches a request that the filter has not marked", () => {
    for (const each of routesOf(files)) {
      const header = { name: "x-hopgate-backend", string_match: { exact: each.name } };
      expect(each.match).toEqual({ prefix: "/", headers: [header] });
    }
  });

  it("gives no route a timeout", () => {
    for (const each of routesOf(files)) expect(each.route).toMatchObject({ timeout: "0s" });
  });

  it("writes the host of a Cloud Run service, behind a waypoint too, and leaves that of a service in the cluster", () => {
    const authority = new Map(routesOf(files).map((each) => [each.name, everywhere("host_rewrite_literal", each)]));
    expect(authority.get("kb")).toEqual([kb.host]);
    expect(authority.get("reports")).toEqual([reports.host]);
    expect(authority.get("llm")).toEqual([]);
  });

  it("writes the host that a replacement wants, in place of either", () => {
    const replaced = { address: "staging.example.com", port: 443, authority: "staging.example.com" };
    const backends = new Map([...gatewayInput(mesh).backends, ["llm", replaced] as const, ["kb", replaced] as const]);
    const authorities = everywhere("host_rewrite_literal", routesOf(renderGateway(gatewayInput(mesh, { backends }))));
    expect(new Set(authorities)).toEqual(new Set(["staging.example.com", reports.host]));
  });

  it("names the route and the backend that is missing", () => {
    const dangling = meshOf([llm], [route("x.example.internal", "gone")]);
    expect(() => renderGateway(gatewayInput(dangling))).toThrow(/gone/);
  });
});

describe("the clusters of a gateway", () => {
  it("reaches a service of the cluster in plain text at its address", () => {
    const cluster = resource(files, "cds.json", LLM);
    expect(cluster.type).toBe("STATIC");
    expect(everywhere("socket_address", cluster)).toEqual([{ address: "127.0.0.1", port_value: 8000 }]);
    expect(cluster.transport_socket).toBeUndefined();
  });

  it("resolves a replacement that is given by name", () => {
    const backends = new Map([...gatewayInput(mesh).backends, ["llm", { address: "ollama", port: 11434 }] as const]);
    const cluster = resource(renderGateway(gatewayInput(mesh, { backends })), "cds.json", LLM);
    expect(cluster.type).toBe("STRICT_DNS");
  });

  it("asks for the name of a Cloud Run service and checks it in the certificate", () => {
    const context = everywhere("typed_config", resource(files, "cds.json", KB))[0];
    expect(context).toMatchObject({
      sni: kb.host,
      common_tls_context: {
        validation_context: {
          trusted_ca: { filename: "/pki/run-ca.pem" },
          match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: kb.host } }],
        },
      },
    });
  });

  it("checks an address in the certificate where the replacement has no name, and sends none", () => {
    const place = { address: "127.0.0.1", port: 1, tls: { name: "127.0.0.1", caFile: "/ca.pem" } };
    const backends = new Map([...gatewayInput(mesh).backends, ["kb", place] as const]);
    const cluster = resource(renderGateway(gatewayInput(mesh, { backends })), "cds.json", KB);
    expect(everywhere("san_type", cluster)).toEqual(["IP_ADDRESS"]);
    expect(everywhere("sni", cluster)).toEqual([]);
  });

  it("tunnels to a backend behind a waypoint, by the virtual IP of its service", () => {
    const cluster = resource(files, "cds.json", REPORTS);
    const vip = virtualIps(mesh).get(reports.host) ?? "none";
    expect(everywhere("server_listener_name", cluster)).toEqual(["connect_originate"]);
    expect(everywhere("envoy.filters.listener.original_dst", cluster)).toEqual([
      { local: `${vip}:80`, waypoint: "127.0.0.1:15008" },
    ]);
    expect(resource(files, "lds.json", "connect_originate")).toHaveProperty("internal_listener");
    expect(everywhere("prefix", resource(files, "cds.json", "connect_originate"))).toEqual(["spiffe://cluster.local/"]);
  });

  it("has nothing of a tunnel where no backend needs one", () => {
    const flat = renderGateway(gatewayInput(meshOf([llm], [route("x.example.internal", "llm")])));
    expect(JSON.stringify(flat)).not.toContain("connect_originate");
  });

  it("has one cluster for two backends of the same service, at the place of the first", () => {
    const twice = meshOf([llm, { ...llm, name: "llm-too" }], [route("x.example.internal", "llm", "llm-too")]);
    const rendered = renderGateway(gatewayInput(twice));
    const names = resources(rendered, "cds.json").map((cluster) => cluster.name);
    expect(names).toEqual([LLM, "outbound|80||metadata.google.internal"]);
    expect(everywhere("port_value", resource(rendered, "cds.json", LLM))).toEqual([8000]);
  });

  it("says which place is missing", () => {
    const none = new Map<string, never>();
    expect(() => renderGateway(gatewayInput(mesh, { backends: none }))).toThrow(Failure);
    expect(() => renderGateway(gatewayInput(mesh, { backends: none }))).toThrow(/backend llm/);
    expect(() => renderGateway(gatewayInput(mesh, { waypointPorts: none }))).toThrow(/waypoint agents/);
    expect(() => renderGateway(gatewayInput(mesh, { platform: none }))).toThrow(/metadata\.google\.internal/);
  });
});

describe("the listener of a gateway", () => {
  const listener = resource(files, "lds.json", "0.0.0.0_8443");

  it("listens on loopback only, at the given port, and shares it with no other process", () => {
    expect(resource(renderGateway(gatewayInput(mesh, { port: 9443 })), "lds.json", "0.0.0.0_8443")).toMatchObject({
      address: { socket_address: { address: "127.0.0.1", port_value: 9443 } },
      enable_reuse_port: false,
    });
  });

  it("treats callers as Istio's gateways do", () => {
    const filters = everywhere("filters", listener)[0];
    expect(filters).toMatchObject([
      {
        typed_config: {
          stat_prefix: "outbound_0.0.0.0_8443;",
          server_name: "istio-envoy",
          use_remote_address: true,
          normalize_path: true,
          path_with_escaped_slashes_action: "KEEP_UNCHANGED",
          stream_idle_timeout: "0s",
          upgrade_configs: [{ upgrade_type: "websocket" }],
        },
      },
    ]);
    expect(everywhere("alpn_protocols", listener)).toEqual([["h2", "http/1.1"]]);
  });

  it("runs the filter just before the router", () => {
    const [filters] = everywhere("http_filters", listener) as readonly JsonObject[][];
    expect(filters?.map((filter) => filter.name)).toEqual([
      "extensions.istio.io/wasmplugin/istio-ingress.hopgate",
      "envoy.filters.http.router",
    ]);
  });

  it("logs no header that could carry a token, and no query", () => {
    const [fields] = everywhere("json_format", listener) as readonly Readonly<Record<string, string>>[];
    const headers = Object.values(fields ?? {}).flatMap((format) => [...format.matchAll(/REQ\(([^)]*)\)/g)]);
    expect(headers.map(([, name]) => name).sort()).toEqual([":AUTHORITY", ":METHOD", "X-REQUEST-ID"]);
    expect(fields?.path).toBe("%PATH(NQ)%");
  });
});

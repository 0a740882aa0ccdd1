import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../../shim/render/envoy/json.js";
import { virtualIps } from "../../../../shim/render/envoy/vips.js";
import { renderWaypoint } from "../../../../shim/render/envoy/waypoint.js";
import { cloudRun, everywhere, kubernetes, meshOf, resource, resources, waypointInput } from "./sample.js";

const reports = cloudRun("reports", { through: "agents" });
const vectors = kubernetes("vectors", { port: 6333, through: "agents" });
const mesh = meshOf([kubernetes("llm"), reports, vectors, cloudRun("kb", { through: "elsewhere" })], []);
const files = renderWaypoint(waypointInput(mesh));

const REPORTS = "inbound-vip|80|http|reports-abc123-uc.a.run.app";
const VECTORS = "inbound-vip|6333|http|vectors.vectors-ns.svc.cluster.local";

describe("a waypoint", () => {
  const terminate = resource(files, "lds.json", "connect_terminate");
  const internal = resource(files, "lds.json", "main_internal");

  it("lets only workloads of the mesh open a tunnel", () => {
    expect(terminate.address).toEqual({ socket_address: { address: "127.0.0.1", port_value: 0 } });
    expect(everywhere("require_client_certificate", terminate)).toEqual([true]);
    expect(everywhere("match_typed_subject_alt_names", terminate)).toEqual([
      [{ san_type: "URI", matcher: { prefix: "spiffe://cluster.local/" } }],
    ]);
  });

  it("has a filter chain for each service that is bound to it and for no other", () => {
    const chains = internal.filter_chains as readonly JsonObject[];
    expect(chains.map((chain) => chain.name)).toEqual([REPORTS, VECTORS]);
  });

  it("chooses the chain by the address in the tunnel", () => {
    const vips = virtualIps(mesh);
    const chainOf = new Map(
      (everywhere("map", internal) as readonly JsonObject[])
        .flatMap((map) => Object.entries(map))
        .map(([key, match]) => [key, everywhere("value", match)]),
    );
    expect(chainOf.get(String(vips.get(reports.host)))).toEqual([REPORTS]);
    expect(chainOf.get(String(vips.get("vectors.vectors-ns.svc.cluster.local")))).toEqual([VECTORS]);
    expect(chainOf.get("6333")).toEqual([VECTORS]);
  });

  it("takes any host name in a chain, but only the filter's word for the backend", () => {
    const [virtualHosts] = everywhere("virtual_hosts", internal);
    expect(virtualHosts).toMatchObject([
      {
        name: "inbound|http|80",
        domains: ["*"],
        routes: [
          {
            name: "reports",
            match: { headers: [{ name: "x-hopgate-backend", string_match: { exact: "reports" } }] },
            route: { cluster: REPORTS, host_rewrite_literal: reports.host },
          },
        ],
      },
    ]);
  });

  it("originates TLS for Cloud Run, and none for the cluster", () => {
    expect(everywhere("sni", resource(files, "cds.json", REPORTS))).toEqual([reports.host]);
    expect(resource(files, "cds.json", VECTORS).transport_socket).toBeUndefined();
  });

  it("has the clusters of its services and of the platform only", () => {
    const names = resources(files, "cds.json").map((cluster) => cluster.name);
    expect(names).toEqual(["main_internal", REPORTS, VECTORS, "outbound|80||metadata.google.internal"]);
  });

  it("keeps two ports of one service apart, under one address", () => {
    const both = renderWaypoint(waypointInput(meshOf([vectors, { ...vectors, name: "grpc", port: 6334 }], [])));
    const [byAddress] = everywhere("map", resource(both, "lds.json", "main_internal")) as readonly JsonObject[];
    expect(Object.keys(byAddress ?? {})).toHaveLength(1);
    expect(everywhere("value", byAddress ?? {})).toEqual([VECTORS, VECTORS.replace("6333", "6334")]);
  });

  it("has one chain with a route each for two backends of one service and port", () => {
    const twice = renderWaypoint(waypointInput(meshOf([vectors, { ...vectors, name: "too" }], [])));
    const chains = resource(twice, "lds.json", "main_internal").filter_chains;
    expect(chains).toHaveLength(1);
    expect(everywhere("exact", chains ?? [])).toEqual(["vectors", "too"]);
  });

  it("without a service still answers the tunnel, with nothing behind it", () => {
    const bare = renderWaypoint(waypointInput(meshOf([kubernetes("llm")], [])));
    expect(resources(bare, "lds.json").map((listener) => listener.name)).toEqual(["connect_terminate"]);
  });
});

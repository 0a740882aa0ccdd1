import type { PluginConfig } from "../shim/render/plugin-config.js";
import { JWKS_CLUSTER, METADATA_CLUSTER } from "./filters.js";

/** What the benchmark configures hopgate with, and any filter that reads the same. */

/** The host of a backend in the cluster, and of one that is reached with an ID token. */
export const LLM = "llm.bench.internal";
export const KB = "kb.bench.internal";
export const KB_AUDIENCE = "https://kb-abc123-uc.a.run.app";
export const HOP = "ingress";

/** An edge with that many routes, two of which are used, that tells every client where the time went. */
export function edgeConfiguration(routes: number): PluginConfig {
  const others = Array.from({ length: routes - 2 }, (_, index) => ({
    hosts: [`service-${index}.team-${index % 17}.bench.internal`],
    to: [{ backend: "llm", weight: 100 }],
  }));
  return {
    hop: HOP,
    edge: true,
    routes: [
      ...others,
      { hosts: [LLM], to: [{ backend: "llm", weight: 100 }] },
      { hosts: [KB], to: [{ backend: "kb", weight: 100 }], open: "a benchmark on loopback" },
    ],
    backends: { llm: {}, kb: { token: { audience: KB_AUDIENCE } } },
    identity: { cluster: METADATA_CLUSTER },
    timing: { expose: "always" },
  };
}

/** Whose tokens are accepted. */
export interface Callers {
  readonly issuer: string;
  readonly audience: string;
  readonly email: string;
}

/** The same edge, where callers of the backend in the cluster are checked. */
export function validatingConfiguration({ issuer, audience, email }: Callers): PluginConfig {
  const jwks = { cluster: JWKS_CLUSTER, authority: "www.googleapis.com", path: "/oauth2/v3/certs" };
  const edge = edgeConfiguration(10);
  const accounts = { issuers: [issuer], audiences: [audience], emails: [email] };
  return {
    ...edge,
    routes: edge.routes.map((route) => (route.hosts.includes(LLM) ? { ...route, validate: "google" } : route)),
    // Callers' tokens outlast any run.
    validators: { google: { ...accounts, maxLifetimeSec: 86_400, jwks } },
  };
}

/** The same routes and backends for the Lua filter, in front of its source. */
export function luaPrelude(configuration: PluginConfig, token: string): string {
  const routes = configuration.routes.flatMap(({ hosts, to: [arm] }) => {
    const backend = arm?.backend ?? "";
    const inject = configuration.backends[backend]?.token === undefined ? "" : ", inject = true";
    return hosts.map((host) => `  ["${host}"] = { backend = "${backend}"${inject} },`);
  });
  return [
    `local HOP = "${configuration.hop}"`,
    `local TOKEN = "Bearer ${token}"`,
    "local ROUTES = {",
    ...routes,
    "}",
    "",
  ].join("\n");
}

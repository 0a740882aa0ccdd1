import { expect, test } from "vitest";
import { parseMesh } from "../../../shim/config/parse.js";
import { UsageError } from "../../../shim/errors.js";
import { pluginConfigFor } from "../../../shim/render/plugin-config-for.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import { EXAMPLE } from "../config/example.js";

function rendered(text: string, hop: string): PluginConfig {
  return pluginConfigFor(parseMesh(text, "hopgate.yaml"), hop);
}

const GOOGLE = {
  issuers: ["https://accounts.google.com"],
  audiences: ["https://ai-platform.example.internal"],
  emails: ["orchestrator@my-project.iam.gserviceaccount.com"],
  jwks: { cluster: "outbound|443||www.googleapis.com", authority: "www.googleapis.com", path: "/oauth2/v3/certs" },
};

const IDENTITY = { mode: "metadata", cluster: "outbound|80||metadata.google.internal" };

test("a gateway gets all routes, and the token of each backend that it sends to itself", () => {
  expect(rendered(EXAMPLE, "ingress")).toEqual({
    hop: "ingress",
    edge: true,
    routes: [
      { hosts: ["llm.ai-platform.example.internal"], to: [{ backend: "llm", weight: 100 }] },
      { hosts: ["vectors.ai-platform.example.internal"], to: [{ backend: "vectordb", weight: 100 }] },
      { hosts: ["kb.ai-platform.example.internal"], to: [{ backend: "kb", weight: 100 }], validate: "google" },
      {
        hosts: ["*.agents.ai-platform.example.internal"],
        to: [
          { backend: "agents", weight: 10 },
          { backend: "llm", weight: 90 },
        ],
        sticky: "x-session-id",
        validate: "google",
      },
    ],
    backends: {
      agents: { token: { audience: "https://agents.ai-platform.example.internal" } },
      kb: { token: { audience: "https://kb-abc123-uc.a.run.app" } },
      llm: {},
      vectordb: {},
    },
    identity: IDENTITY,
    validators: { google: GOOGLE },
    timing: { expose: "trace", key: "change-me" },
  });
});

test("a waypoint gets a route from each service bound to it, and its token", () => {
  expect(rendered(EXAMPLE, "agents")).toEqual({
    hop: "agents",
    match: "service",
    validate: "google",
    routes: [{ hosts: ["reports-abc123-uc.a.run.app"], to: [{ backend: "reports", weight: 100 }] }],
    backends: { reports: { token: { audience: "https://reports-abc123-uc.a.run.app" } } },
    identity: IDENTITY,
    validators: { google: GOOGLE },
  });
});

test("a backend behind a waypoint has no token at the gateway, which knows the hop behind it", () => {
  const text = EXAMPLE.replace("hops:\n", "  - { hosts: [reports.internal], to: reports }\nhops:\n");
  expect(rendered(text, "ingress").backends["reports"]).toEqual({ through: "agents" });
});

test("exactly one hop has the token of a backend", () => {
  const text = EXAMPLE.replace("hops:\n", "  - { hosts: [reports.internal], to: reports }\nhops:\n");
  const mesh = parseMesh(text, "hopgate.yaml");
  const injectors = [...mesh.hops.keys()].flatMap((hop) =>
    Object.entries(pluginConfigFor(mesh, hop).backends).flatMap(([name, { token }]) =>
      token ? [`${hop}:${name}`] : [],
    ),
  );
  expect(injectors).toEqual(["ingress:agents", "ingress:kb", "agents:reports"]);
});

test("a service of the cluster is known to its waypoint by its name in the cluster", () => {
  const text = `
name: demo
backends:
  web: { kubernetes: { service: web, namespace: demo, port: 8080 }, through: way }
  api: { kubernetes: { service: api, namespace: demo, port: 80 }, through: way }
hops:
  way: { waypoint: { namespace: demo, name: waypoint } }
`;
  expect(rendered(text, "way")).toEqual({
    hop: "way",
    match: "service",
    routes: [
      { hosts: ["api.demo.svc.cluster.local"], to: [{ backend: "api", weight: 100 }] },
      { hosts: ["web.demo.svc.cluster.local"], to: [{ backend: "web", weight: 100 }] },
    ],
    backends: { api: {}, web: {} },
  });
});

test("with identity off the filter is told which backends get a token, and to add none", () => {
  const text = `${EXAMPLE}identity: { mode: off }\n`;
  for (const hop of ["ingress", "agents"]) {
    const { backends, identity } = rendered(text, hop);
    expect(Object.values(backends).filter(({ token }) => token !== undefined)).not.toEqual([]);
    expect(identity).toEqual({ mode: "off" });
  }
});

test("says what is not as the filter has it by default", () => {
  const text = `${EXAMPLE.replace(
    "edge: true }",
    "edge: true, unmatched: reject, bypass: [{ path: /a }, { path: /b, hosts: [h.x] }] }",
  ).replace(
    "google:   {",
    "google: { algorithm: ES256, header: X-Token, forward: false, clockSkewSec: 5, maxLifetimeSec: 600, issuers: [https://me], jwks: { host: me, path: /k, cacheSec: 1, maxStaleSec: 2, cooldownSec: 3, timeoutMs: 4 },",
  )}identity: { mode: impersonate, serviceAccount: a@p.iam.gserviceaccount.com, timeoutMs: 1, refreshBeforeSec: 2, maxWaiters: 3 }\n`;
  expect(rendered(text, "ingress")).toMatchObject({
    unmatched: "reject",
    bypass: [{ path: "/a" }, { path: "/b", hosts: ["h.x"] }],
    identity: {
      mode: "impersonate",
      cluster: "outbound|80||metadata.google.internal",
      timeoutMs: 1,
      refreshBeforeSec: 2,
      maxWaiters: 3,
      impersonate: {
        serviceAccount: "a@p.iam.gserviceaccount.com",
        cluster: "outbound|443||iamcredentials.googleapis.com",
        authority: "iamcredentials.googleapis.com",
      },
    },
    validators: {
      google: {
        issuers: ["https://me"],
        algorithm: "ES256",
        header: "x-token",
        forward: false,
        clockSkewSec: 5,
        maxLifetimeSec: 600,
        jwks: {
          cluster: "outbound|443||me",
          authority: "me",
          path: "/k",
          cacheSec: 1,
          maxStaleSec: 2,
          cooldownSec: 3,
          timeoutMs: 4,
        },
      },
    },
  });
});

test("only the hop that callers meet first exposes the times", () => {
  const always = EXAMPLE.replace("expose: trace", "expose: always");
  expect(rendered(always, "ingress").timing).toEqual({ expose: "always" });
  expect(rendered(always, "agents").timing).toBeUndefined();
  expect(
    rendered(always.replace("validate: google }\ntiming", "validate: google, edge: true }\ntiming"), "agents").timing,
  ).toEqual({
    expose: "always",
  });
  const alone =
    "name: demo\nhops: { way: { waypoint: { namespace: a, name: b } } }\ntiming: { expose: trace, key: k }\n";
  expect(rendered(alone, "way").timing).toEqual({ expose: "trace", key: "k" });
});

test("gives the same bytes whatever the order of the file's backends", () => {
  const lines = EXAMPLE.split("\n");
  const swapped = [...lines.slice(0, 2), lines[3], lines[2], ...lines.slice(4)].join("\n");
  expect(swapped).not.toBe(EXAMPLE);
  expect(JSON.stringify(rendered(swapped, "ingress"))).toBe(JSON.stringify(rendered(EXAMPLE, "ingress")));
});

test("refuses a hop that the mesh does not have, and names those that it has", () => {
  const render = (): PluginConfig => rendered(EXAMPLE, "egress");
  expect(render).toThrow(UsageError);
  expect(render).toThrow('there is no hop "egress"');
});

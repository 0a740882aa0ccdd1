import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseMesh } from "../../../shim/config/parse.js";
import { UsageError } from "../../../shim/errors.js";
import { EXAMPLE } from "./example.js";
import { edited, refusal } from "./problems.js";

const GATEWAY =
  "hops: { ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true } }";
const WAYPOINT = "hops: { agents: { waypoint: { namespace: agents, name: waypoint } } }";
const KB = "kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }";
const KB_THROUGH_AGENTS =
  "kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry }, through: agents }";

function file(...lines: string[]): string {
  return ["name: demo", ...lines].join("\n");
}

describe("what a file means", () => {
  test("reads every kind of backend, with the url as the default audience", () => {
    const { name, backends } = parseMesh(EXAMPLE, "hopgate.yaml");
    expect(name).toBe("ai-platform");
    expect([...backends.values()]).toEqual([
      {
        kind: "kubernetes",
        name: "llm",
        service: "llm-platform-api",
        namespace: "llm-platform",
        port: 80,
        through: undefined,
      },
      {
        kind: "kubernetes",
        name: "vectordb",
        service: "vectordb",
        namespace: "vectordb-ns",
        port: 6333,
        through: undefined,
      },
      {
        kind: "cloudRun",
        name: "kb",
        url: "https://kb-abc123-uc.a.run.app",
        host: "kb-abc123-uc.a.run.app",
        audience: "https://kb-abc123-uc.a.run.app",
        region: "us-central1",
        via: "gcpBackend",
        through: undefined,
      },
      {
        kind: "cloudRun",
        name: "reports",
        url: "https://reports-abc123-uc.a.run.app",
        host: "reports-abc123-uc.a.run.app",
        audience: "https://reports-abc123-uc.a.run.app",
        region: undefined,
        via: "serviceEntry",
        through: "agents",
      },
      {
        kind: "cloudRun",
        name: "agents",
        url: "https://agents-abc123-uc.a.run.app",
        host: "agents.ai-platform.example.internal",
        audience: "https://agents.ai-platform.example.internal",
        region: undefined,
        via: "loadBalancer",
        through: undefined,
      },
    ]);
  });

  test("reads routes, with a backend alone as one arm of 100 percent", () => {
    const { routes } = parseMesh(EXAMPLE, "hopgate.yaml");
    expect(routes.slice(2)).toEqual([
      {
        hosts: ["kb.ai-platform.example.internal"],
        arms: [{ backend: "kb", weight: 100 }],
        sticky: undefined,
        validate: "google",
        open: undefined,
      },
      {
        hosts: ["*.agents.ai-platform.example.internal"],
        arms: [
          { backend: "agents", weight: 10 },
          { backend: "llm", weight: 90 },
        ],
        sticky: "x-session-id",
        validate: "google",
        open: undefined,
      },
    ]);
  });

  test("reads both kinds of hop", () => {
    const { hops } = parseMesh(EXAMPLE, "hopgate.yaml");
    expect([...hops.values()]).toEqual([
      {
        kind: "gateway",
        name: "ingress",
        namespace: "istio-ingress",
        selector: { istio: "ingressgateway" },
        port: 443,
        secret: "ai-platform-tls",
        edge: true,
        validate: undefined,
        unmatched: "pass",
        bypass: [],
      },
      {
        kind: "waypoint",
        name: "agents",
        namespace: "agents",
        gateway: "waypoint",
        edge: false,
        validate: "google",
        unmatched: "pass",
        bypass: [],
      },
    ]);
  });

  test("fills in the defaults of the contract", () => {
    const { identity, validators } = parseMesh(EXAMPLE, "hopgate.yaml");
    expect(identity).toEqual({
      mode: "metadata",
      serviceAccount: undefined,
      timeoutMs: 2000,
      refreshBeforeSec: 240,
      maxWaiters: 1000,
    });
    expect(validators.get("google")).toEqual({
      name: "google",
      issuers: ["https://accounts.google.com"],
      audiences: ["https://ai-platform.example.internal"],
      emails: ["orchestrator@my-project.iam.gserviceaccount.com"],
      algorithm: "RS256",
      header: undefined,
      forward: true,
      clockSkewSec: 60,
      maxLifetimeSec: 3660,
      jwks: {
        host: "www.googleapis.com",
        path: "/oauth2/v3/certs",
        cacheSec: 600,
        maxStaleSec: 3600,
        cooldownSec: 30,
        timeoutMs: 2000,
      },
    });
    expect(parseMesh(file(WAYPOINT), "hopgate.yaml").timing).toEqual({ expose: "never", key: undefined });
  });

  test("takes host and header names in any case, and one dot behind a host name", () => {
    const text = file(
      "backends: { llm: { kubernetes: { service: llm, namespace: ai, port: 80 } } }",
      "routes: [{ hosts: [LLM.Example.internal., '*.LLM.Example.Internal'], to: llm, sticky: X-Session-Id }]",
      "hops: { in: { gateway: { namespace: a, selector: { b: c } }, bypass: [{ path: /x, hosts: [A.b.] }] } }",
    );
    const { routes, hops } = parseMesh(text, "hopgate.yaml");
    expect(routes[0]?.hosts).toEqual(["llm.example.internal", "*.llm.example.internal"]);
    expect(routes[0]?.sticky).toBe("x-session-id");
    expect(hops.get("in")?.bypass).toEqual([{ path: "/x", hosts: ["a.b"] }]);
  });

  test("reads a reason over several lines as one", () => {
    const text = edited("to: kb, validate: google }", 'to: kb, open: "checked by\n      AuthorizationPolicy kb\\n" }');
    expect(parseMesh(text, "hopgate.yaml").routes[2]?.open).toBe("checked by AuthorizationPolicy kb");
  });

  test("keeps words that YAML 1.1 takes for true and false", () => {
    const text = `%YAML 1.1\n---\n${file("hops: { no: { waypoint: { namespace: off, name: y } } }")}`;
    expect(parseMesh(text, "hopgate.yaml").hops.get("no")).toMatchObject({ namespace: "off", gateway: "y" });
  });

  test("takes names that every object of JavaScript has", () => {
    const text = file(
      "backends: { constructor: { kubernetes: { service: llm, namespace: ai, port: 80 } } }",
      "routes: [{ hosts: [a.internal], to: constructor }]",
      GATEWAY,
    );
    expect(parseMesh(text, "hopgate.yaml").backends.get("constructor")?.name).toBe("constructor");
  });

  test("reads the example that is shipped", () => {
    const text = readFileSync("manifests/examples/hopgate.yaml", "utf8");
    const mesh = parseMesh(text, "manifests/examples/hopgate.yaml");
    expect([...mesh.backends.keys()]).toEqual(["llm", "vectordb", "kb", "reports"]);
    // It opens no way to anybody: whatever gets a token is behind a check.
    expect(text).not.toMatch(/^[^#]*open:/m);
    expect([...mesh.hops.values(), ...mesh.routes].filter(({ validate }) => validate === "google")).toHaveLength(2);
  });
});

describe("who may use the identity of a hop", () => {
  const route = (more: string): string => `routes: [{ hosts: [kb.internal], to: kb${more} }]`;

  test("an edge that validates every request needs nothing on its routes", () => {
    const text = file(
      `backends: { ${KB} }`,
      route(""),
      "validators: { google: { audiences: [a], emails: ['*'] } }",
      "hops: { in: { gateway: { namespace: a, selector: { b: c } }, edge: true, validate: google } }",
    );
    expect(() => parseMesh(text, "hopgate.yaml")).not.toThrow();
  });

  test("a gateway that is no edge needs nothing on its routes behind one that is", () => {
    const inner = "inner: { gateway: { namespace: a, selector: { b: c } } }";
    const edge = `edge: { gateway: { namespace: b, selector: { b: c } }, edge: true, validate: v }`;
    const text = file(
      "validators: { v: { audiences: [a], emails: ['*'] } }",
      `backends: { ${KB} }`,
      route(""),
      `hops: { ${inner}, ${edge} }`,
    );
    expect(() => parseMesh(text, "hopgate.yaml")).not.toThrow();
  });

  test("without any edge, a gateway is taken for one: that it is may have been forgotten", () => {
    const text = file(
      `backends: { ${KB} }`,
      route(""),
      "hops: { in: { gateway: { namespace: a, selector: { b: c } } } }",
    );
    expect(() => parseMesh(text, "hopgate.yaml")).toThrow(/routes\[0\]: no hop is an edge, and gateway in adds/);
  });

  test("an identity that the mesh around adds is lent no less", () => {
    const text = file(`backends: { ${KB} }`, route(""), GATEWAY, "identity: { mode: off }");
    expect(() => parseMesh(text, "hopgate.yaml")).toThrow(/nothing checks the callers/);
  });

  test("a waypoint behind an edge lends its identity too", () => {
    const hops = (validate: string): string =>
      `${GATEWAY.slice(0, -2)}, agents: { waypoint: { namespace: agents, name: waypoint }${validate} } }`;
    const text = (validate: string): string =>
      file(
        `backends: { ${KB_THROUGH_AGENTS} }`,
        route(""),
        "validators: { google: { audiences: [a], emails: ['*'] } }",
        hops(validate),
      );
    expect(refusal(text("")).message).toContain(
      "hopgate.yaml:3:10: routes[0]: hop ingress is an edge and is in front of hop agents, which adds an ID token for backend kb, but nothing checks the callers",
    );
    expect(() => parseMesh(text(", validate: google"), "hopgate.yaml")).not.toThrow();
  });

  test("a waypoint that is an edge must validate", () => {
    const text = file(
      `backends: { ${KB_THROUGH_AGENTS} }`,
      "hops: { agents: { waypoint: { namespace: agents, name: waypoint }, edge: true } }",
    );
    expect(refusal(text).message).toMatch(
      /^hopgate.yaml:3:17: hops.agents: this waypoint is an edge and adds an ID token/,
    );
  });

  test("a token that no hop would add is refused", () => {
    const { message } = refusal(file(`backends: { ${KB} }`, WAYPOINT));
    expect(message).toMatch(/^hopgate.yaml:2:17: backends.kb: no hop adds the ID token that Cloud Run wants/);
  });

  test("routes without a gateway are refused", () => {
    const { message } = refusal(file(`backends: { ${KB_THROUGH_AGENTS} }`, route(""), WAYPOINT));
    expect(message).toMatch(/^hopgate.yaml:3:9: routes: no hop of this file is a gateway/);
  });

  test("gateways are two proxies if no Pod can have the labels of both, or none is in both namespaces", () => {
    const text = file(
      "hops:",
      "  in: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } } }",
      "  out: { gateway: { namespace: istio-ingress, selector: { istio: egressgateway } } }",
      "  far: { gateway: { namespace: istio-far, selector: { istio: ingressgateway } } }",
    );
    expect([...parseMesh(text, "hopgate.yaml").hops.keys()]).toEqual(["in", "out", "far"]);
  });

  test("gateways are one proxy if the labels of one include those of the other, in either order", () => {
    const wide = "gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }";
    const narrow = "gateway: { namespace: istio-ingress, selector: { app: x, istio: ingressgateway } }";
    for (const [first, second] of [
      [wide, narrow],
      [narrow, wide],
    ]) {
      const { problems } = refusal(file("hops:", `  a: { ${first} }`, `  b: { ${second} }`));
      expect(problems.map(({ path }) => path)).toEqual(["hops.b"]);
    }
  });
});

describe("a refusal", () => {
  const text = [
    "name: AI",
    "backends:",
    "  kb: { cloudRun: { url: http://kb, via: serviceEntry } }",
    "routes:",
    "  - { hosts: [a.internal, A.internal], to: kbb }",
    "hops:",
    "  ingress: { gatway: {} }",
  ].join("\n");

  test("is the user's to mend, and names all problems at once in the order of the file", () => {
    const error = refusal(text);
    expect(error).toBeInstanceOf(UsageError);
    expect(error.problems.map(({ line, column, path }) => `${line}:${column} ${path}`)).toEqual([
      "1:7 name",
      "3:26 backends.kb.cloudRun.url",
      "5:27 routes[0].hosts[1]",
      "5:44 routes[0].to",
      "7:14 hops.ingress.gatway",
    ]);
  });

  test("has each problem as data", () => {
    expect(refusal(text).problems[3]).toEqual({
      file: "hopgate.yaml",
      line: 5,
      column: 44,
      path: "routes[0].to",
      message: 'there is no backend "kbb"',
      fix: "did you mean kb?",
    });
  });

  test("does not repeat what follows from a wrong field", () => {
    expect(refusal(edited("to: llm }", "too: llm }")).problems.map(({ path }) => path)).toEqual(["routes[0].too"]);
    expect(refusal(edited("llm:      {", "llm: 5\n  spare: {")).problems.map(({ path }) => path)).toEqual([
      "backends.llm",
    ]);
  });

  test("never shows the key of the trace, nor what stands in its place", () => {
    for (const timing of [
      "[hunter2]",
      "hunter2",
      "{ expose: trace, key: [hunter2] }",
      '{ key: " hunter2" }',
      "{ key: *hunter2 }",
      "{ key: !hunter2 }",
      "{ key:hunter2 }",
      "\n  key: |hunter2",
    ]) {
      expect(refusal(file(WAYPOINT, `timing: ${timing}`)).message).not.toContain("hunter2");
    }
    expect(refusal(file(WAYPOINT, "key: *hunter2")).message).not.toContain("hunter2");
  });

  test("shows no credential of a URL, wherever it stands", () => {
    const urls = ["https://user:hunter2@a.run.app", "https:user:hunter2@a.run.app", "user:hunter2@a.run.app"];
    for (const url of [...urls, "https://a.run.app/?key=hunter2"]) {
      const backend = `cloudRun: { url: "${url}", host: "${url}", via: "${url}" }, through: "${url}"`;
      const { message } = refusal(file(WAYPOINT, `backends: { kb: { ${backend} }, "${url}": 1 }`, `"${url}": 1`));
      expect(message).not.toContain("hunter2");
      expect(message).toContain("a.run.app");
    }
  });

  test("shows text of the file without steering the terminal", () => {
    const { message } = refusal(file(WAYPOINT, '"\\e[31mred\\u202E\\u009b": 1'));
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(message).toContain("unknown field");
  });
});

import type { IncomingMessage } from "node:http";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { request } from "../../shim/trace/client.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { startRegistryRelay } from "./registry-relay.js";
import { REPORTS_HOST, Shop, SHOP } from "./shop.js";

const programs = await meshPrograms();

const TIMEOUT_MS = 180_000;

interface Differences {
  readonly clusters: readonly { readonly created: readonly string[] }[];
}

const TEXT = { type: "string" };
/** As Google's reference has it, with a type that has to be said (https://docs.cloud.google.com/service-mesh/docs/cloud-run-api-reference). */
const GCP_BACKEND_CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: {
    name: "gcpbackends.networking.gke.io",
    annotations: { "api-approved.kubernetes.io": "unapproved, a test" },
  },
  spec: {
    group: "networking.gke.io",
    names: { kind: "GCPBackend", plural: "gcpbackends", singular: "gcpbackend", listKind: "GCPBackendList" },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                required: ["type", "cloudrun"],
                properties: {
                  type: { ...TEXT, enum: ["CloudRun"] },
                  cloudrun: {
                    type: "object",
                    required: ["service", "regions"],
                    properties: {
                      service: { ...TEXT, minLength: 1, maxLength: 49 },
                      regions: { type: "array", minItems: 1, maxItems: 1, items: TEXT },
                      project: TEXT,
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

/** What others have in the same cluster, or do there. */
describe.skipIf(programs === undefined)("beside others", { timeout: TIMEOUT_MS }, () => {
  let shop: Shop;

  beforeAll(async () => {
    if (programs === undefined) return;
    shop = await Shop.openDeployed(programs);
    for (const name of ["llm", "kb", "reports"]) await shop.answered(name);
  }, TIMEOUT_MS);
  afterAll(() => shop.close());

  const apply = (resource: object): Promise<void> => shop.mesh.cluster.apply([resource]);
  const kubectl = (...args: readonly string[]): Promise<string> => shop.mesh.cluster.kubectl(args);
  /** Runs the patch that was printed. */
  const asTold = (stderr: string, what: string): Promise<string> => {
    const fix = new RegExp(`kubectl (patch ${what} .*) --patch '(.*)'`).exec(stderr);
    return kubectl(...(fix?.[1] ?? "").split(" "), "--patch", fix?.[2] ?? "");
  };

  describe("a registry that gives the image to this command, and not to proxies", () => {
    let relay: LocalServer;

    beforeAll(async () => {
      // pilot-agent is a Go program.
      const isRefused = ({ headers }: IncomingMessage): boolean => !(headers["user-agent"] ?? "").includes("node");
      relay = await startRegistryRelay(shop.box.registry.host, { isRefused });
    });
    afterAll(() => relay.close());

    it("makes no 0, though module and configuration are the same, and the plugin of before is back", async () => {
      const before = await shop.snapshot();
      const image = shop.image.replace(/^[^/]+/, `127.0.0.1:${String(relay.port)}`);
      const args = ["--image", image, "--plain-http", "--timeout", "6", "--skip-checks", "HG0202"];
      const { code, stdout, stderr } = await shop.hopgate("deploy", ...args);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("Not every proxy runs what was deployed:");
      expect(stderr).toMatch(/Revision \d+ was undone; revision \d+ is in place\./);
      expect(await shop.snapshot()).toEqual(before);
      await shop.answered("llm");
      expect((await shop.hopgate("status")).code).toBe(0);
    });
  });

  it("a gateway with the same labels in another namespace, without the filter, has none of the routes", async () => {
    const old = await shop.mesh.startProxy({
      kind: "gateway",
      name: "old",
      namespace: "istio-old",
      labels: { istio: "ingressgateway" },
    });
    await shop.mesh.cluster.apply([
      {
        apiVersion: "networking.istio.io/v1",
        kind: "Gateway",
        metadata: { name: "old", namespace: "istio-old" },
        spec: {
          selector: { istio: "ingressgateway" },
          servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["istio-old/*"] }],
        },
      },
    ]);
    // What the filter would say, said by the caller.
    const headers = { "x-hopgate-backend": "llm" };
    const send = async (address: string, ca?: string): Promise<number> => {
      const scheme = ca === undefined ? "http" : "https";
      const connectTo = { host: address, port: ca === undefined ? 80 : 443 };
      const { status } = await request({ url: `${scheme}://llm.example.internal/`, connectTo, ca, headers });
      return status;
    };
    const route = "/virtual-service/shop-ingress-llm";
    expect(await shop.ingress.configDump()).toContain(route);
    expect(await old.configDump()).not.toContain(route);
    expect(await send(old.address).catch(() => 0)).not.toBe(200);
    expect(await send(shop.ingress.address, shop.ca)).toBe(200);
  });

  it("another ServiceEntry for a host that goes through the waypoint keeps it from being deployed", async () => {
    const entry = {
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: { name: "older", namespace: "agents" },
      spec: { hosts: [REPORTS_HOST], ports: [{ number: 443, name: "tls", protocol: "TLS" }], resolution: "DNS" },
    };
    await apply(entry);
    const before = await shop.snapshot();
    const { code, stderr } = await shop.deploy();
    await kubectl("delete", "serviceentry", "older", "-n", "agents");
    expect(code).toBe(1);
    expect(stderr).toContain(`ServiceEntry agents/older: it has the host ${REPORTS_HOST} too`);
    expect(stderr).toContain("Nothing was changed: HG0602.");
    expect((await shop.snapshot()).length).toBe(before.length - 1);
  });

  it("a field that somebody adds while it is deployed makes no 0, and what was there before is back", async () => {
    const before = await shop.snapshot();
    const patch = [
      "patch",
      "wasmplugin",
      "shop-ingress",
      "-n",
      "istio-ingress",
      "--type=merge",
      "--field-manager=alice",
    ];
    const { child, ended } = shop.work.start(
      ...["deploy", ...shop.imageOptions, "-c", "more.yaml", "--kubeconfig", shop.kubeconfig],
    );
    let patched: Promise<string> | undefined;
    child.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.toString("utf8").includes("resources and routes applied"))
        patched ??= kubectl(...patch, "-p", JSON.stringify({ spec: { match: [{ mode: "CLIENT_AND_SERVER" }] } }));
    });
    const { code, stderr } = await ended;
    await patched;
    expect(code, stderr).toBe(1);
    expect(stderr).toContain('WasmPlugin istio-ingress/shop-ingress has got meanwhile: spec.match of "alice"');
    await kubectl(...patch, "-p", JSON.stringify({ spec: { match: null } }));
    await shop.expectUnharmed(before);
  });

  it("a field that somebody patched is not taken over, and the way out that is told works", async () => {
    await kubectl(
      ...["patch", "virtualservice", "shop-ingress-llm", "-n", "istio-ingress", "--type=merge"],
      ...["--field-manager=alice", "-p", JSON.stringify({ spec: { hosts: ["alice.example.internal"] } })],
    );
    const diff = await shop.hopgate("diff", ...shop.imageOptions);
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(/^-\s+- alice\.example\.internal$/m);
    expect(diff.stderr).toContain("one: deploy would refuse this: Cannot apply VirtualService");
    const { code, stderr } = await shop.deploy();
    expect(code).toBe(1);
    expect(stderr).toContain('conflict with "alice"');
    const [, title = "", apply = ""] = /hopgate render --only '(.*)' \| kubectl (apply .*)$/m.exec(stderr) ?? [];
    const rendered = await shop.work.run("render", "--only", title, "--image", shop.image);
    await shop.mesh.cluster.kubectl(apply.split(" "), rendered.stdout);
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    // It is nobody else's any more: a change of the same field goes through.
    expect(await shop.deploy("-c", "more.yaml")).toMatchObject({ code: 0 });
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    await shop.answered("llm");
  });

  it("a field that somebody added to a plugin is named, and the way out that is told works", async () => {
    await kubectl(
      ...["patch", "wasmplugin", "shop-ingress", "-n", "istio-ingress", "--type=merge"],
      ...["--field-manager=alice", "-p", JSON.stringify({ spec: { match: [{ mode: "CLIENT" }] } })],
    );
    const { code, stderr } = await shop.deploy();
    expect(code).toBe(1);
    expect(stderr).toContain('WasmPlugin istio-ingress/shop-ingress: it has spec.match of "alice"');
    expect(stderr).toContain("Nothing was changed: HG0419.");
    await asTold(stderr, "wasmplugins shop-ingress");
    expect(await shop.deploy()).toMatchObject({ code: 0 });
  });

  it("what a proxy still ends of a removed plugin is not taken for the new one that it never got", async () => {
    expect(await shop.hopgate("uninstall", "-y")).toMatchObject({ code: 0 });
    // pilot-agent alone, so that Envoy goes on with what it has.
    process.kill(shop.ingress.part.pid ?? NaN, "SIGSTOP");
    const { code, stderr } = await shop.deploy("--timeout", "3");
    shop.ingress.part.resume();
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/istio-ingress\/ingress-0 is (?:other|absent)/);
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    await shop.answered("llm");
  });

  it("a service that nobody named behind a waypoint that refuses keeps it from being deployed", async () => {
    const labels = { "istio.io/use-waypoint": "waypoint" };
    await apply({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "billing", namespace: "agents", labels },
      spec: { ports: [{ port: 80 }] },
    });
    const refusing = SHOP.replace("name: waypoint } }", "name: waypoint }, unmatched: reject }");
    await shop.work.write("refusing.yaml", refusing);
    await shop.grant(shop.mesh, "refusing.yaml");
    const before = await shop.snapshot();
    const { code, stderr } = await shop.deploy("-c", "refusing.yaml");
    expect(code).toBe(1);
    expect(stderr).toContain("Service agents/billing: it goes through the waypoint of hop agents");
    expect(stderr).toContain("Nothing was changed: HG0603.");
    await shop.expectUnharmed(before);
    await kubectl("delete", "service", "billing", "-n", "agents");
    const { code: fixed, stderr: said } = await shop.deploy("-c", "refusing.yaml");
    expect(fixed, said).toBe(0);
    await shop.answered("reports");
  });

  it("a cluster that has GCPBackend gets one by the schema that it has there, and loses it with the file's wish", async () => {
    await shop.work.write("own.yaml", SHOP.replace("via: serviceEntry }", "via: gcpBackend, region: us-central1 }"));
    await shop.grant(shop.mesh, "own.yaml");
    await apply(GCP_BACKEND_CRD);
    await kubectl("wait", "--for=condition=Established", "crd", GCP_BACKEND_CRD.metadata.name);
    const { code, stdout } = await eventually(async () => {
      const ran = await shop.hopgate("diff", ...shop.imageOptions, "-c", "own.yaml", "-o", "json");
      return ran.code === 1 ? ran : undefined;
    });
    expect({ code, created: (JSON.parse(stdout) as Differences).clusters[0]?.created }).toEqual({
      code: 1,
      created: ["GCPBackend istio-ingress/shop-kb"],
    });
    const made = await shop.deploy("-c", "own.yaml");
    expect(made.code, made.stderr).toBe(0);
    const spec = await kubectl("get", "gcpbackends", "shop-kb", "-n", "istio-ingress", "-o", "jsonpath={.spec}");
    expect(JSON.parse(spec)).toEqual({ type: "CloudRun", cloudrun: { service: "kb", regions: ["us-central1"] } });
    expect(await shop.hopgate("status", "-c", "own.yaml")).toMatchObject({ code: 0 });
    await shop.answered("kb");
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    expect(await kubectl("get", "gcpbackends", "-A", "-o", "name")).toBe("");
    await shop.answered("kb");
  });

  it("another mesh that wants a Service at a waypoint of its own is told whose it is", async () => {
    const bound = SHOP.replace(/^( {2}llm: .*) }$/m, "$1, through: agents }");
    await shop.work.write("bound.yaml", bound);
    const theirs = bound.replace("name: shop", "name: other").replaceAll("namespace: agents", "namespace: theirs");
    await shop.work.write("theirs.yaml", theirs.replace("istio-ingress", "other-ingress"));
    await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "theirs" } });
    await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "other-ingress" } });
    await shop.grant(shop.mesh, "bound.yaml");
    const first = await shop.deploy("-c", "bound.yaml");
    expect(first.code, first.stderr).toBe(0);
    const admin = ["--kubeconfig", shop.mesh.cluster.kubeconfigPath, ...shop.imageOptions];
    const { code, stderr } = await shop.work.run("diff", "-c", "theirs.yaml", ...admin);
    expect(code).toBe(1);
    expect(stderr).toContain('conflict with "hopgate-shop"');
  });
});

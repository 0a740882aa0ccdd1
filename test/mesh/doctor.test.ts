import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import type { Ran } from "./deployment.js";
import { SHOP, Shop } from "./shop.js";

const programs = await meshPrograms();

interface Check {
  readonly code: string;
  readonly state: string;
  readonly findings?: readonly { readonly about: string; readonly reason: string; readonly fix: string }[];
  readonly unknowns?: readonly { readonly about: string; readonly unknown: string }[];
}

interface Report {
  readonly errors: number;
  readonly warnings: number;
  readonly checks: readonly Check[];
  readonly clusters: readonly { readonly context: string; readonly checks: readonly Check[] }[];
  readonly answer?: { readonly status: number; readonly token?: object };
}

describe.skipIf(programs === undefined)("hopgate doctor, on a gateway and a waypoint", () => {
  let shop: Shop;

  beforeAll(async () => {
    if (programs === undefined) return;
    shop = await Shop.open(programs);
    await shop.work.write("ca.pem", shop.ca);
  }, 120_000);

  afterAll(async () => {
    await shop.close();
  });

  const run = (...args: readonly string[]): Promise<Ran> => shop.hopgate("doctor", ...args);

  /** What it says of this file, with the image that is deployed. */
  const examine = async (...args: readonly string[]): Promise<{ readonly ran: Ran; readonly report: Report }> => {
    const ran = await run(...shop.imageOptions, "-o", "json", ...args);
    expect(ran.stdout, ran.stderr).not.toBe("");
    return { ran, report: JSON.parse(ran.stdout) as Report };
  };

  const all = ({ checks, clusters }: Report): readonly Check[] => [
    ...checks,
    ...clusters.flatMap((cluster) => cluster.checks),
  ];
  const codes = (report: Report, state = "failed"): readonly string[] =>
    all(report)
      .filter((check) => check.state === state)
      .map(({ code }) => code);
  const findings = (report: Report, code: string): string =>
    (all(report).find((check) => check.code === code)?.findings ?? [])
      .map(({ about, reason }) => `${about}: ${reason}`)
      .join("\n");

  /** Until it finds that. */
  const found = (code: string, ...args: readonly string[]): Promise<Report> =>
    eventually(async () => {
      const { report } = await examine(...args);
      return codes(report).includes(code) ? report : undefined;
    });

  /** A request to a host of the gateway. */
  const to = (name: string): readonly string[] => [
    `https://${name}.example.internal/`,
    ...["--cacert", "ca.pem", "--resolve", `${name}.example.internal:443:${shop.ingress.address}`],
  ];

  it("says what is known before anything is deployed, and finds no error", async () => {
    const { ran, report } = await examine();
    expect(codes(report).filter((code) => !["HG0101", "HG0106", "HG0211"].includes(code))).toEqual([]);
    expect(ran.code).toBe(0);
    expect(codes(report, "skipped")).toEqual(expect.arrayContaining(["HG0413", "HG0601", "HG0701"]));
    // The role does not show Secrets: that is not known, and no error.
    expect(codes(report, "unknown")).toEqual(["HG0502", "HG0503", "HG0602"]);
  });

  it("says why, with the fix, and in words", async () => {
    const { code, stdout } = await run("--image", shop.image.replace(/@.*/, ":latest"), "--plain-http");
    expect(code).toBe(1);
    expect(stdout).toMatch(/[x✗] HG0201 the image is named by its digest/);
    expect(stdout).toContain("no digest, only latest");
    expect(stdout).toContain("Fix: write REGISTRY/REPOSITORY@sha256:DIGEST, as hopgate push prints it");
    expect(stdout).toMatch(/\d+ errors?, \d+ warnings?/);
  });

  it("knows an image that is not there, and a registry that is down", async () => {
    const missing = shop.image.replace(/sha256:.*/, `sha256:${"0".repeat(64)}`);
    const absent = await examine("--image", missing);
    expect(findings(absent.report, "HG0205")).toContain("has not the manifest");
    const down = await examine("--image", missing.replace(/:\d+/, ":45999"));
    expect(codes(down.report)).toContain("HG0203");
    expect(down.ran.code).toBe(1);
  });

  it("refuses to deploy where a service has no such port, and goes on if told to", async () => {
    await shop.work.write("port.yaml", SHOP.replace("port: 80 }", "port: 8080 }"));
    const refused = await shop.deploy("-c", "port.yaml");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("HG0411 the services of backends are there, with their ports");
    expect(refused.stderr).toContain("Service llm/llm: it has no port 8080, but 80");
    expect(refused.stderr).toContain("Nothing was changed: HG0411.");
    expect(await shop.resources()).toEqual([]);
    expect((await shop.deploy("--skip-checks", "HG9999")).code).toBe(2);
  });

  describe("once it is deployed", () => {
    beforeAll(async () => {
      const { code, stderr } = await shop.deploy();
      expect(code, stderr).toBe(0);
      await shop.answered("kb");
      await shop.answered("reports");
    }, 60_000);

    /** What a test leaves behind, to be removed whatever came of it: by whom it was made, deploy would not take it over. */
    const leftovers: [kind: string, namespace: string, name: string][] = [];

    afterEach(async () => {
      for (const [kind, namespace, name] of leftovers.splice(0))
        await shop.mesh.cluster.kubectl(["delete", "--ignore-not-found", kind, name, "-n", namespace]);
      const { code, stderr } = await shop.deploy();
      expect(code, stderr).toBe(0);
    }, 60_000);

    it("finds no error, and that the waypoint was started without stat tags", async () => {
      const { ran, report } = await examine();
      expect(codes(report).filter((code) => !["HG0101", "HG0106", "HG0211", "HG0305"].includes(code))).toEqual([
        "HG0707",
      ]);
      expect(findings(report, "HG0707")).toContain("agents: Pod agents/waypoint-0");
      expect(findings(report, "HG0707")).not.toContain("ingress");
      expect(ran.code, ran.stdout).toBe(0);
    });

    it("explains nothing about a good answer", async () => {
      const { code, stdout } = await run(...shop.imageOptions, ...to("kb"));
      expect(code, stdout).toBe(0);
      expect(stdout).toContain("GET https://kb.example.internal/ 200");
    });

    it("finds a plugin with a selector on a waypoint, a phase, and a way around authentication", async () => {
      const spec = {
        selector: { matchLabels: { "gateway.networking.k8s.io/gateway-name": "waypoint" } },
        url: `oci://${shop.image}`,
        phase: "AUTHN",
        failStrategy: "FAIL_OPEN",
        pluginConfig: { hop: "agents", routes: [], backends: { kb: { token: { audience: "https://kb.example" } } } },
      };
      const metadata = { name: "by-hand", namespace: "agents" };
      leftovers.push(["wasmplugin", "agents", "by-hand"]);
      await shop.mesh.cluster.apply([
        { apiVersion: "extensions.istio.io/v1alpha1", kind: "WasmPlugin", metadata, spec },
      ]);
      const { report, ran } = await examine();
      expect(ran.code).toBe(1);
      for (const code of ["HG0401", "HG0403", "HG0404"])
        expect(findings(report, code)).toContain("WasmPlugin agents/by-hand");
      // And nothing is deployed onto that.
      const refused = await shop.deploy();
      expect(refused.stderr).toContain("Nothing was changed: HG0401, HG0403, HG0404.");
    });

    it("finds a second filter in the same proxies", async () => {
      const spec = {
        selector: { matchLabels: { istio: "ingressgateway" } },
        url: `oci://${shop.image}`,
        failStrategy: "FAIL_RELOAD",
        pluginConfig: { hop: "other", routes: [], backends: {} },
      };
      const metadata = { name: "by-hand", namespace: "istio-ingress" };
      leftovers.push(["wasmplugin", "istio-ingress", "by-hand"]);
      await shop.mesh.cluster.apply([
        { apiVersion: "extensions.istio.io/v1alpha1", kind: "WasmPlugin", metadata, spec },
      ]);
      expect(findings((await examine()).report, "HG0406")).toContain("WasmPlugin istio-ingress/by-hand");
    });

    it("finds that gateways pass the waypoint by, and that somebody changed it", async () => {
      const service = "shop-agents-reports";
      const { kubectl } = bound(shop);
      await kubectl("label", "service", service, "-n", "agents", "istio.io/ingress-use-waypoint-");
      const { report, ran } = await examine();
      expect(ran.code).toBe(1);
      expect(findings(report, "HG0413")).toContain(`Service agents/${service}`);
      expect(findings(report, "HG0417")).toContain(`Service agents/${service}`);
    });

    it("finds a waypoint that lets in everybody", async () => {
      const { kubectl } = bound(shop);
      await kubectl("delete", "authorizationpolicies", "--all", "-n", "agents");
      const { report } = await examine();
      expect(findings(report, "HG0601")).toContain("it is gone");
    });

    it("finds a certificate check that was taken away, and clusters that proxies do not get", async () => {
      const { kubectl } = bound(shop);
      leftovers.push(["destinationrule", "istio-ingress", "shop-ingress-kb"], ["envoyfilter", "agents", "shop-agents"]);
      const patch = ["--type=json", "-p", '[{"op":"remove","path":"/spec/trafficPolicy/tls/subjectAltNames"}]'];
      await kubectl("patch", "destinationrule", "shop-ingress-kb", "-n", "istio-ingress", ...patch);
      await kubectl(
        "annotate",
        "envoyfilter",
        "shop-agents",
        "-n",
        "agents",
        "--overwrite",
        "envoyfilter.istio.io/referenced-services=other.example",
      );
      const { report } = await examine();
      expect(findings(report, "HG0501")).toContain("it has no subjectAltNames");
      expect(findings(report, "HG0504")).toContain("lacks metadata.google.internal");
    });

    it("finds a proxy that runs another configuration", async () => {
      const { kubectl } = bound(shop);
      leftovers.push(["wasmplugin", "agents", "shop-agents"]);
      const patch = ["--type=merge", "-p", '{"spec":{"pluginConfig":{"unmatched":"reject"}}}'];
      await kubectl("patch", "wasmplugin", "shop-agents", "-n", "agents", ...patch);
      const report = await found("HG0702");
      expect(findings(report, "HG0702")).toContain("agents: Pod agents/waypoint-0: it runs configuration");
      expect(findings(report, "HG0417")).toContain("WasmPlugin agents/shop-agents");
    });

    it("tells a module that could not be fetched from a policy's denial", async () => {
      const { kubectl } = bound(shop);
      const url = `oci://${shop.image.replace(/sha256:.*/, `sha256:${"0".repeat(64)}`)}`;
      leftovers.push(["wasmplugin", "istio-ingress", "shop-ingress"]);
      const patch = ["--type=merge", "-p", JSON.stringify({ spec: { url, sha256: "0".repeat(64) } })];
      await kubectl("patch", "wasmplugin", "shop-ingress", "-n", "istio-ingress", ...patch);
      const report = await found("HG0704", ...to("llm"));
      expect(findings(report, "HG0701")).toContain("ingress: Pod istio-ingress/ingress-0");
      expect(findings(report, "HG0704")).toMatch(/fetches ended with \w+_failure/);
      const denied = await found("HG0806", ...to("llm"));
      expect(denied.answer?.status).toBe(403);
      expect(codes(denied)).not.toContain("HG0807");
    });

    it("tells a policy's denial from a module that could not be fetched", async () => {
      const metadata = { name: "nobody", namespace: "istio-ingress" };
      leftovers.push(["authorizationpolicy", "istio-ingress", "nobody"]);
      const spec = { action: "DENY", rules: [{}] };
      await shop.mesh.cluster.apply([
        { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec },
      ]);
      const report = await found("HG0807", ...to("llm"));
      expect(report.answer?.status).toBe(403);
      expect(codes(report)).not.toContain("HG0806");
    });

    it("explains that Cloud Run does not take the audience, with the commands", async () => {
      const audience = "https://custom.example.internal";
      await shop.work.write(
        "audience.yaml",
        SHOP.replace("via: serviceEntry } }\n", `via: serviceEntry, audience: "${audience}" } }\n`),
      );
      expect((await shop.deploy("-c", "audience.yaml")).code).toBe(0);
      await shop.answered("kb", { status: 401 });
      const { code, stdout } = await run("-c", "audience.yaml", ...shop.imageOptions, ...to("kb"));
      expect(code).toBe(1);
      expect(stdout).toContain("GET https://kb.example.internal/ 401");
      expect(stdout).toContain(`HG0809 Cloud Run takes the token's audience`);
      expect(stdout).toContain(`gcloud run services update kb --region REGION --add-custom-audiences '${audience}'`);
    });

    it("says what is wrong with a caller's token, and never shows it", async () => {
      const validator =
        "validators: { google: { audiences: [https://kb.example.internal], emails: [a@b.iam.gserviceaccount.com] } }";
      const file = `${SHOP.replace("to: kb, open: a test", "to: kb, validate: google")}${validator}\n`;
      await shop.work.write("validated.yaml", file);
      await shop.grant(shop.mesh, "validated.yaml");
      const deployed = await shop.deploy("-c", "validated.yaml");
      expect(deployed.code, deployed.stderr).toBe(0);
      const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
      const claims = {
        iss: "https://accounts.google.com",
        aud: "https://other.example",
        exp: 1_700_000_000,
        iat: 1_699_999_000,
        email: "spy@c.iam.gserviceaccount.com",
        email_verified: true,
      };
      const token = [encode({ alg: "RS256", kid: "none" }), encode(claims), "c2lnbmF0dXJl"].join(".");
      await shop.work.write("caller.headers", `authorization: Bearer ${token}\n`);
      await shop.answered("kb", { status: 401 });
      const { code, stdout, stderr } = await run(
        "-c",
        "validated.yaml",
        ...shop.imageOptions,
        ...to("kb"),
        "-H",
        "@caller.headers",
      );
      expect(code).toBe(1);
      expect(stdout).toContain("HG0801 the caller's token is a good one");
      expect(stdout).toContain("its audience is https://other.example, not https://kb.example.internal");
      expect(stdout).toMatch(/it expired \d+ h ago/);
      expect(stdout).toContain("its e-mail address is not one of the validator's");
      for (const secret of [token, claims.email, "c2lnbmF0dXJl", encode(claims)])
        expect(stdout + stderr).not.toContain(secret);
      const bare = await run("-c", "validated.yaml", ...shop.imageOptions, ...to("kb"));
      expect(bare.stdout).toContain(
        "token_missing: validator google of hop ingress looks for a token in authorization",
      );
    });

    it("finds the certificate of the gateway missing, as one who may see that", async () => {
      const asAdmin = ["--kubeconfig", shop.mesh.cluster.kubeconfigPath];
      const ran = await shop.work.run("doctor", ...shop.imageOptions, "-o", "json", ...asAdmin);
      const report = JSON.parse(ran.stdout) as Report;
      expect(codes(report, "unknown")).toEqual([]);
      expect(codes(report, "passed")).toEqual(expect.arrayContaining(["HG0502", "HG0503"]));
      await shop.work.write(
        "secret.yaml",
        SHOP.replace("istio: ingressgateway }", "istio: ingressgateway }, secret: other"),
      );
      const other = await shop.work.run("doctor", "-c", "secret.yaml", ...shop.imageOptions, "-o", "json", ...asAdmin);
      expect(findings(JSON.parse(other.stdout) as Report, "HG0502")).toContain("Secret istio-ingress/other");
      expect(other.code).toBe(1);
    });

    it("says which rights are missing, and takes what is forbidden for not known", async () => {
      const kubeconfig = await shop.mesh.cluster.writeKubeconfig("nobody", { user: "nobody" });
      const ran = await shop.work.run("doctor", ...shop.imageOptions, "-o", "json", "--kubeconfig", kubeconfig);
      const report = JSON.parse(ran.stdout) as Report;
      expect(ran.code).toBe(1);
      expect(findings(report, "HG0307")).toMatch(
        /namespace istio-ingress: User "nobody" cannot .*patch, delete, list wasmplugins\.extensions\.istio\.io;/,
      );
      const others = codes(report).filter((code) => code.startsWith("HG03") || code >= "HG04");
      expect(others).toEqual(["HG0307"]);
      expect(codes(report, "unknown")).toEqual(expect.arrayContaining(["HG0401", "HG0411", "HG0409"]));
    });

    it("says that the API server does not answer, and skips what depends on it", async () => {
      const detour = await shop.mesh.cluster.detour();
      await detour.forwarder.close();
      const ran = await shop.work.run(
        "doctor",
        ...shop.imageOptions,
        "-o",
        "json",
        "--kubeconfig",
        detour.kubeconfigPath,
      );
      expect(ran.code).toBe(1);
      const report = JSON.parse(ran.stdout) as Report;
      expect(findings(report, "HG0301")).toContain("cannot be reached");
      expect(codes(report, "skipped")).toContain("HG0411");
    });
  });
});

function bound(shop: Shop): { readonly kubectl: (...args: readonly string[]) => Promise<string> } {
  return { kubectl: (...args) => shop.mesh.cluster.kubectl(args) };
}

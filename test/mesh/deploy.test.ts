import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Seen, seenHeader } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { CALLER } from "./box/google.js";
import { moduleWithout } from "./deployment.js";
import { REPORTS_HOST, Shop, SHOP } from "./shop.js";

const programs = await meshPrograms();

/** What each command has to do is done in less; more is for a machine that is busy. */
const TIMEOUT_MS = 180_000;

describe.skipIf(programs === undefined)(
  "the commands for clusters, under the role that render --rbac prints",
  { timeout: TIMEOUT_MS },
  () => {
    let shop: Shop;
    /** What there was before. */
    let untouched: readonly string[];

    beforeAll(async () => {
      if (programs !== undefined) {
        shop = await Shop.open(programs);
        untouched = await shop.snapshot();
      }
    }, TIMEOUT_MS);
    afterAll(() => shop.close());

    it("status says that nothing is deployed, and exits 1", async () => {
      expect(await shop.hopgate("status")).toMatchObject({ code: 1, stdout: "one: nothing is deployed\n" });
    });

    it("a dry run says what would come, and changes nothing", async () => {
      expect(await shop.deploy("--dry-run", "client")).toMatchObject({ code: 0, stderr: "" });
      const { code, stdout, stderr } = await shop.deploy("--dry-run", "server");
      expect(code, stderr).toBe(0);
      expect(stderr, "what deploy would say before it begins").toContain("HG0211");
      expect(stdout).toContain("WasmPlugin istio-ingress/shop-ingress created (server dry run)");
      expect(await shop.snapshot()).toEqual(untouched);
    });

    it("diff shows everything as new, and exits 1", async () => {
      const { code, stdout } = await shop.hopgate("diff", ...shop.imageOptions);
      expect(code).toBe(1);
      expect(stdout).toContain("--- /dev/null\n+++ deployed/WasmPlugin agents/shop-agents\n");
    });

    it("istioctl takes everything that render prints", async () => {
      const { stdout } = await shop.work.run("render", "--image", shop.image);
      const file = await shop.work.write("rendered.yaml", stdout);
      await shop.istioctl("validate", "-f", file);
      await shop.istioctl("analyze", "--use-kube=false", "--failure-threshold", "Warning", file);
    });

    it("deploy brings it to every proxy, and requests arrive with their tokens", async () => {
      const startMs = performance.now();
      const { code, stdout, stderr } = await shop.deploy();
      process.stderr.write(`hopgate deploy: ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`);
      expect(code, stderr).toBe(0);
      expect(stdout).toBe("ok one: revision 1 deployed, ingress runs it in 1 proxy, agents runs it in 1 proxy\n");
      // When it is over, it is over: no request has to wait for anything.
      const llm = JSON.parse((await shop.send("llm")).body) as Seen;
      expect(seenHeader(llm, "x-hopgate-path")).toEqual(["ingress"]);
      for (const [name, path] of [
        ["kb", "ingress"],
        ["reports", "ingress,agents"],
      ] as const) {
        const { body, serverTiming } = await shop.answered(name);
        const seen = JSON.parse(body) as Seen;
        expect(seenHeader(seen, "x-hopgate-path")).toEqual([path]);
        expect(seenHeader(seen, "authorization")[0]).toMatch(/\.SIGNATURE_REMOVED_BY_GOOGLE$/);
        for (const hop of path.split(",")) expect(serverTiming.join()).toContain(`${hop};dur=`);
      }
      expect(shop.cloudRun.requests.at(-1)).toMatchObject({ host: REPORTS_HOST, outcome: "forwarded" });
    });

    it("status says so, with counters, and exits 0", async () => {
      const { code, stdout } = await shop.hopgate("status", "-o", "json");
      expect(code).toBe(0);
      const [cluster] = JSON.parse(stdout) as [
        { current: object; hops: { hop: string; proxies: { state: string; requests: object }[] }[] },
      ];
      expect(cluster.current).toMatchObject({ revision: 1, state: "deployed" });
      expect(cluster.hops.map(({ hop, proxies }) => [hop, proxies.map(({ state }) => state)])).toEqual([
        ["ingress", ["loaded"]],
        ["agents", ["loaded"]],
      ]);
      expect(cluster.hops[0]?.proxies[0]?.requests).toHaveProperty("ok");
    });

    it("deploy again changes nothing, and diff shows nothing", async () => {
      const { code, stdout } = await shop.deploy();
      expect(code).toBe(0);
      expect(stdout).toContain("revision 1 unchanged");
      expect(await shop.hopgate("diff", ...shop.imageOptions)).toEqual({ code: 0, stdout: "", stderr: "" });
    });

    it("status names what somebody removed since, and deploy brings it back", async () => {
      await shop.mesh.cluster.kubectl(["delete", "virtualservice", "-n", "istio-ingress", "shop-ingress-llm"]);
      const { code, stdout } = await shop.hopgate("status");
      expect(stdout).toContain(
        "1 resource is not as deployed: VirtualService istio-ingress/shop-ingress-llm (hopgate diff",
      );
      expect(code).toBe(1);
      expect(await shop.deploy()).toMatchObject({ code: 0 });
      expect(await shop.hopgate("status")).toMatchObject({ code: 0 });
    });

    it("refuses a field that another manager owns, by name, and changes nothing until that manager gives it up", async () => {
      const somebody = (spec: object): Promise<string> =>
        shop.mesh.cluster.kubectl(
          ["apply", "--server-side", "--force-conflicts", "--field-manager=somebody", "-f", "-"],
          JSON.stringify({
            apiVersion: "extensions.istio.io/v1alpha1",
            kind: "WasmPlugin",
            metadata: { name: "shop-ingress", namespace: "istio-ingress" },
            ...spec,
          }),
        );
      await somebody({ spec: { failStrategy: "FAIL_OPEN" } });
      const taken = await shop.snapshot();
      const { code, stdout, stderr } = await shop.deploy();
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain(
        'Cannot apply WasmPlugin istio-ingress/shop-ingress: another manager owns .spec.failStrategy (conflict with "somebody")',
      );
      expect(stderr).toContain("kubectl apply --server-side --field-manager=THAT");
      expect(await shop.snapshot()).toEqual(taken);
      const diff = await shop.hopgate("diff", ...shop.imageOptions);
      expect(diff.code).toBe(1);
      expect(diff.stderr).toContain("one: deploy would refuse this: ");
      await somebody({});
      expect(await shop.deploy()).toMatchObject({ code: 0 });
    });

    it("a configuration that the module refuses changes nothing, and the reason is told", async () => {
      const before = await shop.snapshot();
      const old = await shop.push("older", moduleWithout("expose"));
      const { code, stdout, stderr } = await shop.hopgate("deploy", "--image", old, "--plain-http");
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toContain("hopgate.yaml:");
      expect(stderr).toContain("timing.expose");
      expect(await shop.snapshot()).toEqual(before);
    });

    it("a configuration that istiod refuses changes nothing, and the reason is told", async () => {
      const before = await shop.snapshot();
      await shop.work.write("short.yaml", SHOP.replace("llm.example.internal", "localhost"));
      const { code, stdout, stderr } = await shop.deploy("-c", "short.yaml");
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain(
        "Cannot apply Gateway.networking.istio.io istio-ingress/shop-ingress: admission webhook",
      );
      expect(stderr).toContain("short names (non FQDN) are not allowed");
      expect(await shop.snapshot()).toEqual(before);
      expect((await shop.hopgate("status")).code).toBe(0);
    });

    it("a change removes what is no longer wanted, and diff shows it before", async () => {
      const less = SHOP.replace(/^.*kb.*\n/gm, "").replace("llm.example.internal", "llm2.example.internal");
      await shop.work.write("less.yaml", less);
      const diff = await shop.hopgate("diff", "-c", "less.yaml", ...shop.imageOptions);
      expect(diff.code).toBe(1);
      expect(diff.stdout).toContain("+        - llm2.example.internal\n");
      expect(diff.stdout).toContain("--- live/VirtualService istio-ingress/shop-ingress-kb\n+++ /dev/null\n");
      const { code, stderr } = await shop.deploy("-c", "less.yaml");
      expect(code, stderr).toBe(0);
      expect((await shop.resources()).filter((name) => /kb|-before/.test(name))).toEqual([]);
      await shop.answered("llm2");
      await expect(shop.send("llm"), "the gateway has no such host any more").rejects.toThrow();
    });

    it("rollback shows what it would bring back, asks, and takes silence for no", async () => {
      const { code, stdout, stderr } = await shop.hopgate("rollback");
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/current {2}revision \d+ .*\ntarget {3}revision \d+ /);
      expect(stderr).toMatch(/\d+ resources differ: .*VirtualService istio-ingress\/shop-ingress-kb/);
      expect(stderr).toMatch(/Nothing was changed/);
    });

    it("history shows the revisions, and which is in place", async () => {
      const { code, stdout } = await shop.hopgate("history", "-o", "json");
      expect(code).toBe(0);
      const [{ revisions }] = JSON.parse(stdout) as [{ revisions: { state: string; in_place: boolean }[] }];
      expect(revisions.length).toBeGreaterThan(1);
      expect(revisions.filter(({ in_place }) => in_place)).toEqual([revisions[0]]);
    });

    it("rollback -y brings it back, as a new revision", async () => {
      const { code, stdout, stderr } = await shop.hopgate("rollback", "-y");
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/^ok one: revision \d+ is back, as revision \d+\n$/);
      await shop.answered("llm");
      await shop.answered("kb");
      expect((await shop.hopgate("rollback", "99", "-y")).stderr).toContain("there is no revision 99");
    });

    it("uninstall removes what hopgate made, and nothing else", async () => {
      const { code, stdout, stderr } = await shop.hopgate("uninstall", "-y");
      expect(code, stderr).toBe(0);
      // The waypoint was there before.
      expect(stdout).toMatch(/^ok one: \d+ resources removed, 1 left without what hopgate added\n$/);
      expect(stderr).toContain(
        "These stay, without what hopgate added:\n  Gateway.gateway.networking.k8s.io agents/waypoint\n",
      );
      expect(await shop.resources()).toEqual([]);
      expect(await shop.snapshot()).toEqual(untouched);
      const kubectl = (args: readonly string[]): Promise<string> => shop.mesh.cluster.kubectl(args);
      expect(await kubectl(["get", "secrets", "-A", "-l", "app.kubernetes.io/managed-by=hopgate"])).toBe("");
      expect(await shop.hopgate("uninstall", "-y")).toMatchObject({
        code: 0,
        stdout: "ok one: there was nothing to remove\n",
      });
    });

    it("uninstall and status do not take for nothing what somebody applied from render, and deploy takes it over", async () => {
      const { stdout: rendered } = await shop.work.run("render", "--image", shop.image, "-o", "json");
      const apply = ["apply", "--server-side", "--field-manager=hopgate-shop", "-f", "-"];
      await shop.mesh.cluster.kubectl(apply, rendered);
      for (const ran of [shop.hopgate("status"), shop.hopgate("uninstall", "-y")]) {
        const { code, stdout, stderr } = await ran;
        expect(stdout + stderr).toContain("2 plugins of this mesh are there, but they were not made by hopgate deploy");
        expect(code).toBe(1);
      }
      expect(await shop.deploy()).toMatchObject({ code: 0 });
      expect((await shop.hopgate("uninstall", "-y")).code).toBe(0);
      expect(await shop.snapshot()).toEqual(untouched);
    });

    it("a waypoint that validates lets in whoever has a good token for it, and nobody else", async () => {
      const audience = "https://llm.example.internal";
      const file = SHOP.replace("port: 80 } }", "port: 80 }, through: agents }").replace(
        "name: waypoint } }",
        "name: waypoint }, validate: google }",
      );
      const validator = `validators: { google: { audiences: [${audience}], emails: [${CALLER}] } }\n`;
      await shop.work.write("validating.yaml", `${file}${validator}`);
      await shop.grant(shop.mesh, "validating.yaml");
      const { code, stderr } = await shop.deploy("-c", "validating.yaml");
      expect(code, stderr).toBe(0);
      const withToken = async (token: string): Promise<number> =>
        (await shop.send("llm", shop.ingress, { authorization: `Bearer ${token}` })).status;
      const good = await shop.idToken(audience);
      await eventually(async () => ((await withToken(good)) === 200 ? true : undefined));
      const bare = await shop.answered("llm", { status: 401 });
      expect(bare.headers["x-hopgate-error"]).toBe("token_missing");
      expect(await withToken(await shop.idToken("https://other.example.internal"))).toBe(401);
      expect(await withToken(`${good.slice(0, -8)}AAAAAAAA`)).toBe(401);
      expect(await shop.deploy()).toMatchObject({ code: 0 });
      await shop.grant(shop.mesh);
    });

    it("deploys a TrafficExtension, where that is wanted, and takes the place of the WasmPlugin", async () => {
      expect(await shop.deploy()).toMatchObject({ code: 0 });
      await shop.grant(shop.mesh, "hopgate.yaml", "--api", "trafficextension");
      const { code, stderr } = await shop.deploy("--api", "trafficextension");
      expect(code, stderr).toBe(0);
      const plugins = (await shop.resources()).filter((name) => name.includes("extensions.istio.io"));
      expect(plugins).toEqual([
        "trafficextension.extensions.istio.io/shop-agents",
        "trafficextension.extensions.istio.io/shop-ingress",
      ]);
      const { body } = await shop.answered("reports");
      expect(seenHeader(JSON.parse(body) as Seen, "x-hopgate-path")).toEqual(["ingress,agents"]);
      expect((await shop.hopgate("status")).code).toBe(0);
      expect((await shop.hopgate("uninstall", "-y")).code).toBe(0);
      expect(await shop.snapshot()).toEqual(untouched);
    });

    it("deploys to a gateway of the Gateway API, with the waypoint behind it", async () => {
      const edge = await shop.startEdge();
      const file = SHOP.replace(
        /^ {2}ingress: .*$/m,
        "  edge: { gateway: { namespace: edge, name: edge }, edge: true }",
      );
      await shop.work.write("edge.yaml", file);
      await shop.grant(shop.mesh, "edge.yaml");
      const { code, stdout, stderr } = await shop.deploy("-c", "edge.yaml");
      expect(code, stderr).toBe(0);
      expect(stdout).toContain("edge runs it in 1 proxy, agents runs it in 1 proxy");
      for (const [name, path] of [
        ["llm", "edge"],
        ["kb", "edge"],
        ["reports", "edge,agents"],
      ] as const) {
        const { body } = await shop.answered(name, { through: edge });
        expect(seenHeader(JSON.parse(body) as Seen, "x-hopgate-path")).toEqual([path]);
      }
      expect(await shop.hopgate("uninstall", "-c", "edge.yaml", "-y")).toMatchObject({ code: 0 });
    });
  },
);

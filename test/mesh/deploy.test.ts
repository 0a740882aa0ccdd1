import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Seen, seenHeader } from "../support/echo.js";
import { meshPrograms } from "../support/mesh-box.js";
import { REPORTS_HOST, Shop, SHOP } from "./shop.js";

const programs = await meshPrograms();

/** What each command has to do is done in less; more is for a machine that is busy. */
const TIMEOUT_MS = 180_000;

describe.skipIf(programs === undefined)(
  "the commands for clusters, under the role that render --rbac prints",
  { timeout: TIMEOUT_MS },
  () => {
    let shop: Shop;

    beforeAll(async () => {
      if (programs !== undefined) shop = await Shop.open(programs);
    }, TIMEOUT_MS);
    afterAll(() => shop.close());

    it("status says that nothing is deployed, and exits 1", async () => {
      expect(await shop.hopgate("status")).toMatchObject({ code: 1, stdout: "one: nothing is deployed\n" });
    });

    it("a dry run says what would come, and changes nothing", async () => {
      expect(await shop.deploy("--dry-run", "client")).toMatchObject({ code: 0, stderr: "" });
      const { code, stdout, stderr } = await shop.deploy("--dry-run", "server");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain("WasmPlugin istio-ingress/shop-ingress created (server dry run)");
      expect(await shop.resources()).toEqual([]);
    });

    it("diff shows everything as new, and exits 1", async () => {
      const { code, stdout } = await shop.hopgate("diff", ...shop.imageOptions);
      expect(code).toBe(1);
      expect(stdout).toContain("--- /dev/null\n+++ hopgate.yaml/WasmPlugin agents/shop-agents\n");
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
      expect((await shop.hopgate("diff", ...shop.imageOptions)).code).toBe(3);
      await somebody({});
      expect(await shop.deploy()).toMatchObject({ code: 0 });
    });

    it("goes on from where a killed deploy ended", async () => {
      await shop.work.write(
        "more.yaml",
        SHOP.replace("[llm.example.internal]", "[llm.example.internal, more.example.internal]"),
      );
      const { child, ended } = shop.work.start(
        "deploy",
        "-c",
        "more.yaml",
        ...shop.imageOptions,
        "--kubeconfig",
        shop.kubeconfig,
      );
      child.stderr?.once("data", () => child.kill("SIGKILL"));
      expect((await ended).code).not.toBe(0);
      expect((await shop.hopgate("status")).stdout).toContain("was begun at");
      expect(await shop.deploy("-c", "more.yaml")).toMatchObject({ code: 0 });
      await shop.answered("more");
      expect((await shop.hopgate("status")).code).toBe(0);
    });

    it("changes nothing with an image that is not there, a registry that is down, and an API server that is", async () => {
      const before = await shop.hopgate("status", "-o", "json");
      const missing = shop.image.replace(/sha256:.*/, `sha256:${"0".repeat(64)}`);
      const wrong = await shop.hopgate("deploy", "--image", missing, "--plain-http");
      expect(wrong.code).toBe(1);
      expect(wrong.stderr).toContain("has not the manifest");
      const down = await shop.hopgate(
        "deploy",
        "--image",
        missing.replace(/^[^/]+/, "127.0.0.1:45999"),
        "--plain-http",
      );
      expect(down).toMatchObject({ code: 1 });
      expect(down.stderr).toContain("The registry 127.0.0.1:45999 cannot be reached: ECONNREFUSED.");
      const detour = await shop.mesh.cluster.detour();
      detour.forwarder.delayMs = 300;
      expect((await shop.work.run("status", "--kubeconfig", detour.kubeconfigPath)).code).toBe(0);
      await detour.forwarder.close();
      const gone = await shop.work.run("deploy", ...shop.imageOptions, "--kubeconfig", detour.kubeconfigPath);
      expect(gone).toMatchObject({ code: 1 });
      expect(gone.stderr).toMatch(/The API server of one .* cannot be reached/);
      expect((await shop.hopgate("status", "-o", "json")).stdout).toBe(before.stdout);
    });

    it("says what one who may nothing may not", async () => {
      const kubeconfig = await shop.mesh.cluster.writeKubeconfig("nobody", { user: "nobody" });
      const { code, stderr } = await shop.work.run("deploy", ...shop.imageOptions, "--kubeconfig", kubeconfig);
      expect(code).toBe(1);
      expect(stderr).toContain('User "nobody" cannot');
      expect(stderr).toContain("hopgate render --rbac");
    });

    it("undoes what proxies do not come to run", async () => {
      await shop.work.write(
        "nowhere.yaml",
        SHOP.replace(
          "{ waypoint: { namespace: agents, name: waypoint } }",
          "{ waypoint: { namespace: agents, name: nowhere } }",
        ),
      );
      const failed = await shop.deploy("-c", "nowhere.yaml", "--timeout", "3");
      expect(failed.code).toBe(1);
      expect(failed.stderr).toMatch(/agents: no Pod in agents has its labels|cannot/i);
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
      expect((await shop.answered("llm", 404)).status).toBe(404);
    });

    it("rollback shows what it would bring back, asks, and takes silence for no", async () => {
      const { code, stdout, stderr } = await shop.hopgate("rollback");
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/current {2}revision \d+ .*\ntarget {3}revision \d+ /);
      expect(stderr).toContain("Nothing was changed.");
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
      expect(stdout).toMatch(/^ok one: \d+ resources removed\n$/);
      expect(await shop.resources()).toEqual([]);
      const kubectl = (args: readonly string[]): Promise<string> => shop.mesh.cluster.kubectl(args);
      expect(await kubectl(["get", "secrets", "-A", "-l", "app.kubernetes.io/managed-by=hopgate"])).toBe("");
      // The waypoint was there before, and stays, without what was written into it.
      const waypoint = await kubectl([
        "get",
        "gateways.gateway.networking.k8s.io",
        "waypoint",
        "-n",
        "agents",
        "-o",
        "json",
      ]);
      expect(waypoint).not.toContain("extraStatTags");
      expect(await shop.hopgate("uninstall", "-y")).toMatchObject({
        code: 0,
        stdout: "ok one: there was nothing to remove\n",
      });
    });
  },
);

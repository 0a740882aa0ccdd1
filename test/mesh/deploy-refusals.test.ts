import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { meshPrograms } from "../support/mesh-box.js";
import type { Ran } from "./deployment.js";
import { Shop, SHOP } from "./shop.js";

const programs = await meshPrograms();

const TIMEOUT_MS = 180_000;

/** One of those that a managed Cloud Service Mesh has. */
const MANAGED_CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "controlplanerevisions.mesh.cloud.google.com" },
  spec: {
    group: "mesh.cloud.google.com",
    names: { kind: "ControlPlaneRevision", plural: "controlplanerevisions", singular: "controlplanerevision" },
    scope: "Namespaced",
    versions: [{ name: "v1beta1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
  },
};

describe.skipIf(programs === undefined)("what deploy does not do", { timeout: TIMEOUT_MS }, () => {
  let shop: Shop;

  beforeAll(async () => {
    if (programs !== undefined) shop = await Shop.openDeployed(programs);
  }, TIMEOUT_MS);
  afterAll(() => shop.close());

  describe("one who may not", () => {
    /** Under the role as it should be, without what `change` takes; without the check that sees it before. */
    async function withRoles(change: (roles: string) => string, file = "more.yaml"): Promise<Ran> {
      const roles = await shop.roles();
      expect(change(roles)).not.toBe(roles);
      await shop.mesh.cluster.apply(change(roles));
      // Told that a right is missing before anything else; what comes behind that has to hold too.
      const told = await shop.deploy("-c", file);
      expect({ code: told.code, stderr: told.stderr }).toEqual({
        code: 1,
        stderr: expect.stringContaining("HG0307") as string,
      });
      const ran = await shop.deploy("-c", file, "--timeout", "3", "--skip-checks", "HG0307");
      await shop.mesh.cluster.apply(roles);
      return ran;
    }

    it("do anything changes nothing, and is told of the roles", async () => {
      const before = await shop.snapshot();
      const kubeconfig = await shop.mesh.cluster.writeKubeconfig("nobody", { user: "nobody" });
      const { code, stderr } = await shop.work.run("deploy", ...shop.imageOptions, "--kubeconfig", kubeconfig);
      expect(code).toBe(1);
      expect(stderr).toContain('User "nobody" cannot');
      expect(stderr).toContain("hopgate render --rbac prints the role that is needed.");
      await shop.expectUnharmed(before);
    });

    it("do all of it changes nothing, and is told what is missing", async () => {
      const before = await shop.snapshot();
      const roles = await shop.roles();
      await shop.mesh.cluster.apply(roles.replaceAll("- pods/proxy\n", "- pods/log\n"));
      const { code, stderr } = await shop.deploy("-c", "more.yaml");
      await shop.mesh.cluster.apply(roles);
      expect(code).toBe(1);
      expect(stderr).toContain("get pods/proxy");
      expect(stderr).toContain("Nothing was changed: HG0307.");
      await shop.expectUnharmed(before);
    });

    it("write plugins changes nothing", async () => {
      const before = await shop.snapshot();
      const { code, stderr } = await withRoles((roles) => roles.replaceAll("- wasmplugins\n", "- wasmplugin\n"));
      expect(code).toBe(1);
      expect(stderr).toContain('cannot get resource "wasmplugins"');
      await shop.expectUnharmed(before);
    });

    it("remove what has to go changes nothing", async () => {
      const before = await shop.snapshot();
      await shop.work.write("less.yaml", SHOP.replace(/^.*kb.*\n/gm, ""));
      const { code, stderr } = await withRoles((roles) => roles.replaceAll(/^ *- delete\n/gm, ""), "less.yaml");
      expect(code).toBe(1);
      expect(stderr).toMatch(/Cannot remove .*cannot delete resource/);
      await shop.expectUnharmed(before);
    });

    it("ask the proxies gets no 0: nobody knows what they run", async () => {
      const before = await shop.snapshot();
      const { code, stdout, stderr } = await withRoles((roles) => roles.replaceAll("- pods/proxy\n", "- pods/log\n"));
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("is unknown: its metrics on port 15090 cannot be read: you may not ask it (pods/proxy)");
      expect(stderr).toContain("Nothing was changed.");
      await shop.expectUnharmed(before);
    });
  });

  describe("a cluster in which the filter would not run", () => {
    const kubectl = (...args: readonly string[]): Promise<string> => shop.mesh.cluster.kubectl(args);

    async function expectRefused(code: string, reason: string, ...args: readonly string[]): Promise<void> {
      const before = await shop.snapshot();
      const refused = await shop.deploy(...args);
      expect(refused.stderr).toContain(reason);
      expect(refused.stderr).toContain(`Nothing was changed: ${code}.`);
      expect(refused.code).toBe(1);
      expect(await shop.snapshot()).toEqual(before);
    }

    it("for its control plane is a managed one", async () => {
      await shop.mesh.cluster.apply([MANAGED_CRD]);
      await kubectl("wait", "--for=condition=Established", "crd", MANAGED_CRD.metadata.name);
      await expectRefused("HG0304", "mesh.cloud.google.com: the cluster has the CRDs of a managed control plane");
      await kubectl("delete", "crd", MANAGED_CRD.metadata.name);
    });

    it("for its proxies are of an Istio that is too old", async () => {
      const pod = ["pod/ingress-0", "--namespace", "istio-ingress"];
      const [container = "", image = ""] = (
        await kubectl("get", ...pod, "-o", "jsonpath={.spec.containers[0]['name','image']}")
      ).split(" ");
      await kubectl("set", "image", ...pod, `${container}=docker.io/istio/proxyv2:1.26.4`);
      await expectRefused("HG0303", "Pod istio-ingress/ingress-0: it is of Istio 1.26.4");
      await kubectl("set", "image", ...pod, `${container}=${image}`);
    });

    it("for the waypoint is of a class that runs no Envoy", async () => {
      await shop.mesh.cluster.apply([
        {
          apiVersion: "gateway.networking.k8s.io/v1",
          kind: "Gateway",
          metadata: { name: "other", namespace: "agents" },
          spec: { gatewayClassName: "agentgateway", listeners: [{ name: "mesh", port: 15008, protocol: "HTTP" }] },
        },
      ]);
      await shop.work.write("other.yaml", SHOP.replace("name: waypoint", "name: other"));
      const title = "Gateway.gateway.networking.k8s.io agents/other";
      await expectRefused("HG0306", `${title}: its gatewayClassName is agentgateway`, "-c", "other.yaml");
      await kubectl("delete", "gateways.gateway.networking.k8s.io", "other", "--namespace", "agents");
    });
  });

  describe("a proxy that does not run the filter", () => {
    /** Leaves the check out that sees it before. */
    const NO_PODS = ["--skip-checks", "HG0409"];

    it("for it has hung: is unknown, and nothing is changed", async () => {
      const before = await shop.snapshot();
      shop.waypoint.part.pause();
      const { code, stdout, stderr } = await shop.deploy("-c", "more.yaml", "--timeout", "3");
      const status = await shop.hopgate("status");
      shop.waypoint.part.resume();
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("agents/waypoint-0 is unknown");
      expect(stderr).toContain("Nothing was changed.");
      expect(status.code).toBe(1);
      expect(status.stdout).toMatch(/agents\/waypoint-0\s+unknown.*(?:asked through the API server|HTTP 50)/);
      await shop.expectUnharmed(before);
    });

    it("for there is none: the deployment is undone", async () => {
      const before = await shop.snapshot();
      await shop.work.write("nowhere.yaml", SHOP.replace("istio: ingressgateway", "istio: nowhere"));
      const { code, stderr } = await shop.deploy("-c", "nowhere.yaml", "--timeout", "3", ...NO_PODS);
      expect(code).toBe(1);
      expect(stderr).toContain("ingress: no Pod in istio-ingress has its labels");
      await shop.expectUnharmed(before);
    });

    it("with --no-wait: it stays, but there is no 0", async () => {
      await shop.work.write("nowhere.yaml", SHOP.replace("istio: ingressgateway", "istio: nowhere"));
      const { code } = await shop.deploy("-c", "nowhere.yaml", "--no-wait", ...NO_PODS);
      expect(code).toBe(1);
      expect((await shop.hopgate("status")).code).toBe(1);
      expect(await shop.deploy()).toMatchObject({ code: 0 });
    });
  });
});

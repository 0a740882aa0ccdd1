import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { meshPrograms } from "../support/mesh-box.js";
import { otherBuild, type Ran } from "./deployment.js";
import { startRegistryRelay } from "./registry-relay.js";
import { Shop } from "./shop.js";

const programs = await meshPrograms();

const TIMEOUT_MS = 180_000;

describe.skipIf(programs === undefined)("what goes wrong while deploying", { timeout: TIMEOUT_MS }, () => {
  let shop: Shop;

  beforeAll(async () => {
    if (programs !== undefined) shop = await Shop.openDeployed(programs);
  }, TIMEOUT_MS);
  afterAll(() => shop.close());

  /** Starts a command, and does something when it has got so far that its stderr says `line`. */
  async function at(
    line: string,
    args: readonly string[],
    then: (kill: (signal?: NodeJS.Signals) => void) => void,
  ): Promise<Ran> {
    const { child, ended } = shop.work.start(...args);
    let stderr = "";
    let isThere = false;
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString("utf8");
      if (isThere || !stderr.includes(line)) return;
      isThere = true;
      then((signal = "SIGKILL") => child.kill(signal));
    });
    const ran = await ended;
    expect(isThere, `it never said ${line}: ${ran.stderr}`).toBe(true);
    return ran;
  }

  const deployArgs = (...args: readonly string[]): readonly string[] => ["deploy", ...shop.imageOptions, ...args];
  const asDeployer = (): readonly string[] => ["--kubeconfig", shop.kubeconfig];

  describe("a deployment that was killed", () => {
    it.each(["resources and routes applied", "routes moved", "plugins applied"])(
      "after %j is seen by status, and the next goes on from there",
      async (line) => {
        // To the other file, whichever is deployed.
        const isMore = (await shop.snapshot()).some((resource) => resource.includes("more.example.internal"));
        const file = isMore ? "hopgate.yaml" : "more.yaml";
        const killed = await at(line, [...deployArgs("-c", file), ...asDeployer()], (kill) => kill());
        expect(killed.code).not.toBe(0);
        const { code, stdout } = await shop.hopgate("status");
        expect(code).toBe(1);
        expect(stdout).toMatch(/revision \d+ was begun at .* and has not ended/);
        expect(await shop.deploy("-c", file)).toMatchObject({ code: 0 });
        await shop.answered(isMore ? "llm" : "more");
        expect((await shop.hopgate("status")).code).toBe(0);
        expect((await shop.resources()).filter((name) => name.includes("-before"))).toEqual([]);
      },
    );

    it("by Ctrl-C says what it leaves behind, and status how to go on", async () => {
      expect(await shop.deploy("-c", "hopgate.yaml")).toMatchObject({ code: 0 });
      const args = [...deployArgs("-c", "more.yaml"), ...asDeployer()];
      const { code, stderr } = await at("routes moved", args, (kill) => kill("SIGINT"));
      const next = /revision \d+ is half done; hopgate deploy or hopgate rollback goes on from there\n/;
      expect(stderr).toMatch(new RegExp(`\ninterrupted: ${next.source}$`));
      expect(code).toBe(130);
      expect((await shop.hopgate("status")).stdout).toMatch(next);
      expect(await shop.deploy("-c", "hopgate.yaml")).toMatchObject({ code: 0 });
    });

    it("can be rolled back instead", async () => {
      expect(await shop.deploy("-c", "hopgate.yaml")).toMatchObject({ code: 0 });
      const before = await shop.snapshot();
      await at("routes moved", [...deployArgs("-c", "more.yaml"), ...asDeployer()], (kill) => kill());
      const { code, stderr } = await shop.hopgate("rollback", "-y");
      expect(code, stderr).toBe(0);
      await shop.expectUnharmed(before);
    });
  });

  describe("an image", () => {
    it("that is not in the registry changes nothing", async () => {
      const before = await shop.snapshot();
      const missing = shop.image.replace(/sha256:.*/, `sha256:${"0".repeat(64)}`);
      const { code, stdout, stderr } = await shop.hopgate("deploy", "--image", missing, "--plain-http");
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/HG0205 .* has not the manifest/);
      expect(stderr).toContain("push it with hopgate push");
      await shop.expectUnharmed(before);
    });

    it("that is another than its digest says changes nothing", async () => {
      const before = await shop.snapshot();
      const liar = await startRegistryRelay(shop.box.registry.host, { isLying: true });
      const image = shop.image.replace(/^[^/]+/, `127.0.0.1:${String(liar.port)}`);
      const { code, stderr } = await shop.hopgate("deploy", "--image", image, "--plain-http");
      await liar.close();
      expect(code).toBe(1);
      expect(stderr).toMatch(/the layer sha256:\w+ has the digest sha256:\w+/);
      await shop.expectUnharmed(before);
    });

    it("of a module that is not hopgate's changes nothing", async () => {
      const before = await shop.snapshot();
      const file = await shop.work.write("plugin.wasm", Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
      const image = await shop.box.registry.push(file, "other/filter", "v1");
      const { code, stderr } = await shop.hopgate("deploy", "--image", image, "--plain-http");
      expect(code).toBe(1);
      expect(stderr).toMatch(/HG0208 .*: it is another module, or was changed/);
      await shop.expectUnharmed(before);
    });

    it("whose registry is down changes nothing", async () => {
      const before = await shop.snapshot();
      const image = shop.image.replace(/^[^/]+/, "127.0.0.1:45999");
      const { code, stderr } = await shop.hopgate("deploy", "--image", image, "--plain-http");
      expect(code).toBe(1);
      expect(stderr).toContain("The registry 127.0.0.1:45999 cannot be reached: ECONNREFUSED.");
      await shop.expectUnharmed(before);
    });

    it("that proxies cannot fetch is taken back: the registry dies when deploy has looked at it", async () => {
      const before = await shop.snapshot();
      const image = await shop.push("next", otherBuild("next"));
      const args = ["deploy", "--image", image, "--plain-http", "--timeout", "4", ...asDeployer()];
      const { code, stdout, stderr } = await at("resources and routes applied", args, () => {
        void shop.box.registry.part.kill();
      });
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toContain("Not every proxy runs what was deployed:");
      expect(stderr).toMatch(/Revision \d+ was undone; revision \d+ is in place\./);
      await shop.expectUnharmed(before);
      await shop.box.registry.start();
      expect(await shop.push("again", otherBuild("next"))).toBe(image);
      await shop.work.run("push", `${shop.box.registry.host}/hopgate/filter`, "--plain-http");
    });
  });

  describe("the API server", () => {
    it("may be slow", async () => {
      const detour = await shop.mesh.cluster.detour();
      detour.forwarder.delayMs = 300;
      const args = [...deployArgs("-c", "more.yaml"), "--kubeconfig", detour.kubeconfigPath];
      const { code, stdout, stderr } = await shop.work.run(...args);
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/revision \d+ deployed/);
      await detour.forwarder.close();
      expect(await shop.deploy("-c", "hopgate.yaml")).toMatchObject({ code: 0 });
      await shop.expectUnharmed(await shop.snapshot());
    });

    it("that cannot be reached changes nothing", async () => {
      const before = await shop.snapshot();
      const detour = await shop.mesh.cluster.detour();
      await detour.forwarder.close();
      for (const command of [deployArgs(), ["status"], ["rollback", "-y"], ["uninstall", "-y"]]) {
        const { code, stdout, stderr } = await shop.work.run(...command, "--kubeconfig", detour.kubeconfigPath);
        expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
        expect(stderr).toMatch(/The API server of one \(https:.*\) cannot be reached: ECONNREFUSED\./);
      }
      await shop.expectUnharmed(before);
    });

    it("that hangs is given up", async () => {
      shop.mesh.cluster.apiServer.pause();
      const { code, stderr } = await shop.hopgate("status");
      shop.mesh.cluster.apiServer.resume();
      expect(code).toBe(1);
      expect(stderr).toContain("cannot be reached: no answer within 30 s.");
    });

    it("that goes in the middle leaves it half done, which is said, and the next goes on from there", async () => {
      const detour = await shop.mesh.cluster.detour();
      const args = [...deployArgs("-c", "more.yaml"), "--kubeconfig", detour.kubeconfigPath];
      const { code, stdout, stderr } = await at("routes moved", args, () => void detour.forwarder.close());
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/It could not be undone either: .*ECONNREFUSED/);
      expect(stderr).toContain("Run hopgate deploy or hopgate rollback again");
      expect((await shop.hopgate("status")).code).toBe(1);
      expect(await shop.deploy("-c", "hopgate.yaml")).toMatchObject({ code: 0 });
      await shop.expectUnharmed(await shop.snapshot());
    });

    it("whose webhook of Istio does not answer changes nothing", async () => {
      const before = await shop.snapshot();
      await shop.mesh.istiod.part.kill();
      const { code, stderr } = await shop.deploy("-c", "more.yaml");
      await shop.mesh.istiod.part.start();
      expect(code).toBe(1);
      expect(stderr).toContain("failed calling webhook");
      await shop.expectUnharmed(before);
    });
  });

  it("of two clusters: the first stays, the second is put back, the third is not begun, and that is said", async () => {
    const two = await shop.another("two");
    const merged = await shop.mergedKubeconfig([shop.kubeconfig, two.kubeconfig]);
    const args = [...deployArgs(), "--kubeconfig", merged, "--context", "one", "--context", "two"];
    const both = await shop.work.run(...args, "-o", "json");
    expect(both.code, both.stderr).toBe(0);
    expect(JSON.parse(both.stdout)).toMatchObject({
      clusters: [
        { context: "one", state: "deployed", changed: false },
        { context: "two", state: "deployed", revision: 1, changed: true },
      ],
    });
    const before = await shop.snapshot(two);
    const image = await shop.push("next", otherBuild("next"));
    const contexts = ["one", "two", "one"].flatMap((name) => ["--context", name]);
    const { code, stdout, stderr } = await at(
      "two: resources and routes applied",
      ["deploy", "--image", image, "--plain-http", "--timeout", "5", "--kubeconfig", merged, ...contexts],
      () => void shop.box.registry.part.kill(),
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ok one: revision \d+ deployed, .*\n$/);
    expect(stderr).toContain("Revision 2 was undone; revision 1 is in place.");
    expect(stderr).toContain("Of 3 clusters:\n  one: deployed\n  two: failed\n  one: not begun\n");
    expect(await shop.snapshot(two)).toEqual(before);
    for (const context of ["one", "two"]) {
      expect(await shop.work.run("status", "--kubeconfig", merged, "--context", context)).toMatchObject({ code: 0 });
    }
  });
});

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { meshPrograms } from "../support/mesh-box.js";
import { startSteadyLoad } from "../support/steady-load.js";
import { otherBuild } from "./deployment.js";
import { Shop, SHOP } from "./shop.js";

const programs = await meshPrograms();

const HOSTS = ["llm", "kb", "reports"].map((name) => `${name}.example.internal`);
const PER_SECOND = 200;
const TIMEOUT_MS = 400_000;

/** What each deployment has others of than the one before: hosts, the place where a token is added, an arm, the filter itself. */
const FILES = {
  "plain.yaml": SHOP,
  "more.yaml": SHOP.replace("[llm.example.internal]", "[llm.example.internal, more.example.internal]"),
  "through.yaml": SHOP.replace(/^( {2}kb: .*) }$/m, "$1, through: agents }"),
  "split.yaml": SHOP.replace("], to: llm }", "], split: { llm: 50, kb: 50 }, open: a test }"),
  "less.yaml": SHOP.replace("timing: { expose: always }\n", ""),
};

describe.skipIf(programs === undefined)("under load", { timeout: TIMEOUT_MS }, () => {
  let shop: Shop;

  beforeAll(async () => {
    if (programs !== undefined) shop = await Shop.open(programs);
  }, TIMEOUT_MS);
  afterAll(() => shop.close());

  it("ten deployments of other configurations and other modules, and a rollback, lose no request", async () => {
    const images = [shop.image, await shop.push("next", otherBuild("next"))] as const;
    for (const [file, text] of Object.entries(FILES)) await shop.work.write(file, text);
    await shop.grantAll(Object.keys(FILES));
    expect(await shop.deploy()).toMatchObject({ code: 0 });
    for (const name of ["llm", "kb", "reports"]) await shop.answered(name);
    const load = startSteadyLoad({ address: shop.ingress.address, ca: shop.ca, hosts: HOSTS, perSecond: PER_SECOND });
    const startMs = performance.now();
    const seconds: string[] = [];
    for (let index = 0; index < 10; index++) {
      const file = Object.keys(FILES)[(index + 1) % 5] ?? "";
      const image = images[Math.floor((index + 1) / 2) % 2] ?? "";
      const beginMs = performance.now();
      const { code, stderr } = await shop.hopgate("deploy", "-c", file, "--image", image, "--plain-http");
      expect(code, stderr).toBe(0);
      seconds.push(`${file} ${((performance.now() - beginMs) / 1000).toFixed(1)}`);
    }
    const { code, stderr } = await shop.hopgate("rollback", "-y");
    expect(code, stderr).toBe(0);
    const { sent, outcomes, slowestMs } = await load.stop();
    const took = (performance.now() - startMs) / 1000;
    process.stderr.write(
      `${String(sent)} requests in ${took.toFixed(1)} s over ten deployments and a rollback: ${JSON.stringify(outcomes)}, ` +
        `slowest ${slowestMs.toFixed(0)} ms; seconds: ${seconds.join(", ")}\n`,
    );
    expect(outcomes).toEqual({ 200: sent });
  });
});

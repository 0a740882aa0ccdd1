import { Readable } from "node:stream";

import { beforeEach, describe, expect } from "vitest";

import { type Resource, titleOf } from "../../../shim/render/istio/resource.js";
import { writeKubeconfig } from "../kubernetes/api-server.js";
import { type FakeShop, OTHER_ROUTES, shopTest as it } from "../kubernetes/shop.js";
import { sampleText } from "../render/istio/sample.js";
import { hopgate, hopgateWith, type Ran, type Surroundings } from "./support.js";

const ran = (shop: FakeShop, command: string, ...args: readonly string[]): Promise<Ran> =>
  hopgate(command, ...args, ...shop.options);
const ranWith = (
  shop: FakeShop,
  surroundings: Surroundings,
  command: string,
  ...args: readonly string[]
): Promise<Ran> => hopgateWith(surroundings, command, ...args, ...shop.options);

function only(shop: FakeShop, kind: string, name: string): Resource {
  const found = shop.target().resources.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
}

/** Leaves revision 2 half done. */
async function interruptDeployment(shop: FakeShop): Promise<void> {
  const ending = new AbortController();
  shop.api.before = (method, path, isDryRun) => {
    if (method === "PATCH" && !isDryRun && path.includes("/virtualservices/")) ending.abort();
  };
  await shop
    .rollout({ signal: ending.signal })
    .to(shop.target(OTHER_ROUTES))
    .catch(() => undefined);
  shop.api.before = () => undefined;
}

/** A deployment that is undone, for a reason of several lines. */
async function failDeployment(shop: FakeShop): Promise<void> {
  const [proxy] = shop.api.proxies;
  const runs = proxy?.runs;
  if (proxy !== undefined) proxy.runs = { config: "2", module: "0123456789abcdef" };
  const rollout = shop.cluster().rollout({
    notify: (line) => {
      if (line.startsWith("failed") && proxy !== undefined) proxy.runs = runs;
    },
    signal: new AbortController().signal,
    timeoutMs: 300,
  });
  await rollout.to(shop.target(OTHER_ROUTES)).catch(() => undefined);
}

describe.concurrent("status", () => {
  it("exits 0 where every proxy runs what is deployed, as it was deployed", async ({ shop }) => {
    await shop.deploy();
    const { code, stdout } = await ran(shop, "status");
    expect(stdout).not.toContain("as deployed");
    expect(code).toBe(0);
  });

  it("names what somebody changed or removed since, and exits 1", async ({ shop }) => {
    await shop.deploy();
    shop.api.remove(only(shop, "VirtualService", "shop-ingress-llm"));
    shop.api.tamper(only(shop, "VirtualService", "shop-ingress-reports"), { hosts: ["other.example.internal"] });
    const { code, stdout } = await ran(shop, "status");
    expect(stdout).toContain(
      "2 resources are not as deployed: VirtualService istio-ingress/shop-ingress-llm, " +
        "VirtualService istio-ingress/shop-ingress-reports (hopgate diff shows how; hopgate deploy brings them back, or says whose they are)\n",
    );
    expect(code).toBe(1);
    const [cluster] = JSON.parse((await ran(shop, "status", "-o", "json")).stdout) as [{ not_as_deployed: string[] }];
    expect(cluster.not_as_deployed).toEqual([
      "VirtualService istio-ingress/shop-ingress-llm",
      "VirtualService istio-ingress/shop-ingress-reports",
    ]);
  });

  it("shows of each proxy its resource, since when it runs it, its requests and what failed last", async ({ shop }) => {
    await shop.deploy();
    const [proxy] = shop.api.proxies;
    if (proxy?.runs === undefined) throw new Error("no proxy");
    const { module } = proxy.runs;
    const config = shop.api.configOf(proxy);
    const secondsAgo = (seconds: number): string => String(Math.floor(Date.now() / 1000) - seconds);
    proxy.metrics = [
      `hopgate_config_timestamp_seconds{hop="ingress",config="${config}",module="${module}"} ${secondsAgo(3661)}`,
      'hopgate_requests{hop="ingress",backend="llm",result="ok"} 7',
      `hopgate_token_fetch_error_timestamp_seconds{hop="ingress",result="bad_status"} ${secondsAgo(130)}`,
      `hopgate_request_error_timestamp_seconds{hop="ingress",result="token_unavailable"} ${secondsAgo(90_000)}`,
    ];
    const { stdout } = await ran(shop, "status");
    expect(stdout).toMatch(/^HOP +RESOURCE +PROXY +STATE +SINCE +REQUESTS +LAST ERROR +WHY NOT$/m);
    expect(stdout).toMatch(
      /^ingress +WasmPlugin istio-ingress\/shop-ingress +istio-ingress\/ingress-0 +loaded +1h1m +ok 7 +token fetch: bad_status, 2m1\ds ago$/m,
    );
    expect(stdout).toMatch(/^agents +WasmPlugin agents\/shop-agents +agents\/\S+ +loaded +\S+ +-$/m);
    const [cluster] = JSON.parse((await ran(shop, "status", "-o", "json")).stdout) as [{ hops: readonly object[] }];
    expect(cluster.hops).toMatchObject([
      {
        hop: "ingress",
        resource: "WasmPlugin istio-ingress/shop-ingress",
        proxies: [
          {
            state: "loaded",
            since: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
            last_error: { what: "token fetch", code: "bad_status" },
            requests: { ok: 7 },
          },
        ],
      },
      { hop: "agents", proxies: [{ state: "loaded" }] },
    ]);
  });

  it("does not know that where one may not ask, which is no error", async ({ shop }) => {
    await shop.deploy();
    const path = "/apis/networking.istio.io/v1/namespaces/istio-ingress/virtualservices/shop-ingress-llm";
    shop.api.forbidden.add(`PATCH ${path}`);
    const { code, stdout } = await ran(shop, "status");
    expect(stdout).toContain("whether resources are as deployed is unknown: Cannot apply VirtualService");
    expect(code).toBe(0);
  });

  it("asks that again only after a while where it watches", async ({ shop }) => {
    await shop.deploy();
    let [dryRuns, looks] = [0, 0];
    shop.api.before = (method, _, isDryRun) => void (dryRuns += method === "PATCH" && isDryRun ? 1 : 0);
    const ending = new AbortController();
    const onOutput = (): void => {
      if (++looks === 2) ending.abort();
    };
    expect((await ranWith(shop, { signal: ending.signal, onOutput }, "status", "--watch")).code).toBe(130);
    const plugins = shop.target().resources.filter(({ kind }) => kind === "WasmPlugin").length;
    expect({ looks, dryRuns }).toEqual({ looks: 2, dryRuns: shop.target().resources.length - plugins });
  });

  it("says of a deployment that was interrupted how to go on, and exits 1", async ({ shop }) => {
    await shop.deploy();
    await interruptDeployment(shop);
    const { code, stdout } = await ran(shop, "status");
    expect(stdout).toMatch(/^revision 2 was begun at \S+ and has not ended$/m);
    expect(stdout).toContain("revision 2 is half done; hopgate deploy or hopgate rollback goes on from there\n");
    expect(code).toBe(1);
  });

  it("shows the whole reason of the last failure", async ({ shop }) => {
    await shop.deploy();
    await failDeployment(shop);
    const { stdout } = await ran(shop, "status");
    expect(stdout).toMatch(
      /^revision 2 failed at \S+ and was undone: Not every proxy runs what was deployed:\n {4}ingress: istio-ingress\/ingress-0 is other: /m,
    );
  });

  it("shows every cluster, and of one that is dead why, and exits 1", async ({ shop }) => {
    await shop.deploy();
    await writeKubeconfig(shop.kubeconfig, [shop.api, { name: "dead", port: 1 }]);
    const both = ["--context", "one", "--context", "dead"];
    const { code, stdout } = await ran(shop, "status", ...both);
    expect(stdout).toContain("one: revision 1, since ");
    expect(stdout).toContain("dead: The API server of dead (https://127.0.0.1:1) cannot be reached: ECONNREFUSED.\n");
    expect(code).toBe(1);
    expect(JSON.parse((await ran(shop, "status", "-o", "json", ...both)).stdout)).toMatchObject([
      { context: "one", current: { revision: 1 } },
      { context: "dead", error: expect.stringContaining("ECONNREFUSED") as string },
    ]);
  });
});

describe.concurrent("plugins that somebody applied from hopgate render", () => {
  beforeEach<{ shop: FakeShop }>(({ shop }) => shop.api.put(...shop.target().resources));

  it("are told by status, with what to do, and 1", async ({ shop }) => {
    const { code, stdout } = await ran(shop, "status");
    expect(stdout).toContain(
      "one: 2 plugins of this mesh are there, but they were not made by hopgate deploy: " +
        "WasmPlugin agents/shop-agents, WasmPlugin istio-ingress/shop-ingress\n",
    );
    expect(stdout).toContain("app.kubernetes.io/managed-by=hopgate,app.kubernetes.io/instance=shop");
    expect(stdout).toContain("hopgate doctor");
    expect(code).toBe(1);
  });

  it("are not taken for nothing by uninstall, nor removed", async ({ shop }) => {
    const { code, stdout, stderr } = await ran(shop, "uninstall", "-y");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("2 plugins of this mesh are there, but they were not made by hopgate deploy");
    expect(stderr).toContain(
      "kubectl apply --server-side --field-manager=hopgate-shop, hopgate deploy takes them over",
    );
    expect(shop.api.get(only(shop, "WasmPlugin", "shop-ingress"))).toBeDefined();
  });
});

it("plugins whose revisions are elsewhere are not taken for nothing either", async ({ shop }) => {
  await shop.deploy();
  shop.folder.write("hopgate.yaml", `${sampleText()}revisionNamespace: agents\n`);
  const { code, stderr } = await ran(shop, "uninstall", "-y");
  expect(stderr).toContain("with revisions in istio-ingress; the file looks for them in agents");
  expect(stderr).toContain("Write revisionNamespace: istio-ingress in it.");
  expect(code).toBe(1);
});

describe.concurrent("uninstall", () => {
  it("prints what it did as data, and nothing else on stdout", async ({ shop }) => {
    await shop.deploy();
    const { code, stdout } = await ran(shop, "uninstall", "-y", "-o", "json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      mesh: "shop",
      clusters: [{ context: "one", deleted: shop.target().resources.length - 1, released: 1 }],
    });
  });

  it("lists apart what stays, and counts what was removed", async ({ shop }) => {
    await shop.deploy();
    const count = shop.target().resources.length;
    const { code, stdout, stderr } = await ran(shop, "uninstall", "-y");
    expect(code, stderr).toBe(0);
    const [made = "", stays = ""] = stderr.split("These stay, without what hopgate added:\n");
    expect(made).not.toContain("agents/waypoint");
    expect(made).toContain("  WasmPlugin agents/shop-agents\n");
    expect(stays.split("\n")[0]).toBe("  Gateway.gateway.networking.k8s.io agents/waypoint");
    expect(stdout).toBe(`ok one: ${String(count - 1)} resources removed, 1 left without what hopgate added\n`);
    expect((await ran(shop, "uninstall", "-y")).stdout).toBe("ok one: there was nothing to remove\n");
  });
});

describe.concurrent("rollback", () => {
  it("says what differs, takes no for no, and ends the line of the question", async ({ shop }) => {
    await shop.deploy();
    await shop.deploy(OTHER_ROUTES);
    const stdin = Readable.from(["n\n"]);
    const { code, stderr } = await ranWith(shop, { stdin }, "rollback");
    expect(stderr).toMatch(/current {2}revision 2 .*\ntarget {3}revision 1 .*\n\d+ resources differ: /);
    expect(stderr).toContain("VirtualService istio-ingress/shop-ingress-kb");
    expect(stderr).toMatch(/\? \[y\/N\] \nNothing was changed in one\.\n$/);
    expect(code).toBe(1);
  });

  it("takes what is half done for what is current", async ({ shop }) => {
    await shop.deploy();
    await interruptDeployment(shop);
    const { stderr } = await ranWith(shop, { stdin: Readable.from([]) }, "rollback");
    expect(stderr).toMatch(/current {2}revision 2 {2}half done since .*\ntarget {3}revision 1 /);
  });

  it("points to history where there is no such revision", async ({ shop }) => {
    await shop.deploy();
    const { code, stderr } = await ran(shop, "rollback", "7", "-y");
    expect(stderr).toContain("write one of 1; hopgate history shows what they are");
    expect(code).toBe(2);
  });

  it("prints what it did as JSON", async ({ shop }) => {
    await shop.deploy();
    await shop.deploy(OTHER_ROUTES);
    const { code, stdout } = await ran(shop, "rollback", "-y", "-o", "json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      mesh: "shop",
      clusters: [
        {
          ...{ context: "one", state: "deployed", revision: 3, rollback_of: 1, changed: true },
          proxies: [
            { hop: "ingress", state: "loaded" },
            { hop: "agents", state: "loaded" },
          ],
        },
      ],
    });
  });

  it.for([
    ["at the question", "interrupted: nothing was changed\n", undefined],
    ["half way", "interrupted: revision 3 is half done; hopgate deploy or hopgate rollback goes on from there\n", "-y"],
  ])("that is interrupted %s says so, and exits 130", async ([, message = "", yes], { shop }) => {
    await shop.deploy();
    await shop.deploy(OTHER_ROUTES);
    const ending = new AbortController();
    shop.api.before = (method, path, isDryRun) => {
      if (method === "PATCH" && !isDryRun && path.includes("/virtualservices/")) ending.abort();
    };
    const stdin = new Readable({ read: () => undefined });
    const onOutput = (text: string): void => {
      if (text.includes("[y/N]")) ending.abort();
    };
    const { code, stdout, stderr } = await ranWith(
      shop,
      { stdin, onOutput, signal: ending.signal },
      "rollback",
      ...(yes === undefined ? [] : [yes]),
    );
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr.endsWith(`\n${message}`), stderr).toBe(true);
  });
});

describe.concurrent("history", () => {
  it("shows the revisions that are kept, the newest first, and which is in place", async ({ shop }) => {
    expect((await ran(shop, "history")).stdout).toBe("one: there are no revisions\n");
    await shop.deploy();
    await failDeployment(shop);
    const { code, stdout } = await ran(shop, "history");
    expect(code).toBe(0);
    const [, head = "", newest = "", oldest = ""] = stdout.split("\n");
    expect(head).toMatch(/^REVISION {2}STATE +STARTED +ENDED +HOPS +RESOURCES +IMAGE$/);
    expect(newest).toMatch(
      /^2 +failed .* Not every proxy runs what was deployed: ingress: istio-ingress\/ingress-0 is other: /,
    );
    expect(oldest).toMatch(/^1 +deployed \(in place\) .* 2 +\d+ +registry\.example\.com/);
    const [cluster] = JSON.parse((await ran(shop, "history", "-o", "json")).stdout) as [{ revisions: object[] }];
    expect(cluster.revisions).toMatchObject([
      { revision: 2, state: "failed", in_place: false, reason: expect.stringContaining("\n") as string },
      { revision: 1, state: "deployed", in_place: true, resources: shop.target().resources.map(titleOf).length },
    ]);
  });

  it("says which revision one brought back", async ({ shop }) => {
    await shop.deploy();
    await shop.deploy(OTHER_ROUTES);
    await ran(shop, "rollback", "-y");
    expect((await ran(shop, "history")).stdout).toMatch(/^3 +deployed \(in place\) .* rollback to 1$/m);
  });
});

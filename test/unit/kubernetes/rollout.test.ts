import { describe, expect } from "vitest";

import { Interrupted } from "../../../shim/errors.js";
import { isChange } from "../../../shim/plan/comparison.js";
import { pluginConfigOf } from "../../../shim/render/istio/plugin.js";
import { titleOf } from "../../../shim/render/istio/resource.js";
import { LIVE } from "./api-server.js";
import { type FakeShop, OTHER_ROUTES, shopTest as it } from "./shop.js";

describe.concurrent("an interruption", () => {
  /** Interrupts a rollout at the first request that is so. */
  async function interruptedAt(
    shop: FakeShop,
    isIt: (method: string, path: string, isDryRun: boolean) => boolean,
  ): Promise<unknown> {
    const ending = new AbortController();
    shop.api.before = (method, path, isDryRun) => {
      if (isIt(method, path, isDryRun)) ending.abort();
    };
    return shop
      .rollout({ signal: ending.signal })
      .to(shop.target(OTHER_ROUTES))
      .catch((error: unknown) => error);
  }

  it("behind the revision says which one is half done, and how to go on", async ({ shop }) => {
    await shop.deploy();
    const error = await interruptedAt(
      shop,
      (method, path, isDryRun) => method === "PATCH" && !isDryRun && path.includes("/virtualservices/"),
    );
    expect(error).toBeInstanceOf(Interrupted);
    expect((error as Error).message).toBe(
      "revision 2 is half done; hopgate deploy or hopgate rollback goes on from there",
    );
  });

  it("while what failed is being undone says the same", async ({ shop }) => {
    await shop.deploy();
    for (const proxy of shop.api.proxies) proxy.runs = { config: "2", module: "0123456789abcdef" };
    const ending = new AbortController();
    const rollout = shop.cluster(ending.signal).rollout({
      notify: (line) => {
        if (line.startsWith("failed; bringing back")) ending.abort();
      },
      signal: ending.signal,
      timeoutMs: 500,
    });
    await expect(rollout.to(shop.target(OTHER_ROUTES))).rejects.toThrow(/^revision 2 is half done; /);
  });

  it("before is not told of a revision, and nothing was written", async ({ shop }) => {
    await shop.deploy();
    const written = shop.api.writes.length;
    const error = await interruptedAt(shop, (method, _, isDryRun) => method === "PATCH" && isDryRun);
    expect(error).not.toBeInstanceOf(Interrupted);
    expect(shop.api.writes).toHaveLength(written);
  });

  it("of a removal says that hopgate uninstall goes on from there", async ({ shop }) => {
    await shop.deploy();
    const ending = new AbortController();
    shop.api.before = (method, _, isDryRun) => {
      if (method === "DELETE" && !isDryRun) ending.abort();
    };
    await expect(shop.rollout({ signal: ending.signal }).remove()).rejects.toThrow(
      "not everything is removed; hopgate uninstall goes on from there",
    );
  });
});

describe.concurrent("what is told of a removal", () => {
  it("counts what the API server deleted, and apart from it what it gave back", async ({ shop }) => {
    await shop.deploy();
    const { resources } = shop.target();
    const gone = resources.find(({ kind }) => kind === "EnvoyFilter");
    if (gone !== undefined) shop.api.remove(gone);
    const adopted = resources.filter(({ kind, apiVersion }) => kind === "Gateway" && apiVersion.startsWith("gateway."));
    expect(adopted.map(titleOf)).toEqual(["Gateway.gateway.networking.k8s.io agents/waypoint"]);
    expect(await shop.rollout().remove()).toEqual({ deleted: resources.length - 2, released: 1 });
    expect(await shop.rollout().remove()).toEqual({ deleted: 0, released: 0 });
  });

  it("leaves out what might have been there after an interruption, and was not", async ({ shop }) => {
    await shop.deploy();
    const ending = new AbortController();
    shop.api.before = (method, path, isDryRun) => {
      if (method === "PATCH" && !isDryRun && !path.includes("/secrets/")) ending.abort();
    };
    await shop
      .rollout({ signal: ending.signal })
      .to(shop.target(OTHER_ROUTES))
      .catch(() => undefined);
    shop.api.before = () => undefined;
    shop.notices.length = 0;
    await shop.deploy();
    // The routes that were kept for the time between, there and back; of all others that could have been, none had come so far.
    expect(shop.notices.filter((line) => line.startsWith("resources removed"))).toEqual(["resources removed: 2"]);
  });
});

it("the same once more is another deployment, which a proxy that got nothing new does not report", async ({ shop }) => {
  await shop.deploy();
  const [ingress] = shop.api.proxies;
  if (ingress?.runs === undefined) throw new Error("there is no proxy");
  const old = shop.api.configOf(ingress);
  await shop.rollout().remove();
  // It ends what it ran, and reports that as before.
  ingress.runs = { ...ingress.runs, config: old };
  await expect(shop.rollout({ timeoutMs: 1000 }).to(shop.target())).rejects.toThrow(
    /ingress: istio-ingress\/ingress-0 is other: it runs configuration /,
  );
  ingress.runs = { ...ingress.runs, config: LIVE };
  const number = await shop.deploy();
  // Without a change it is the same deployment.
  expect(await shop.deploy()).toBe(number);
  expect(await shop.deploy(OTHER_ROUTES)).toBe(number + 1);
});

it("what comes back after a failure is another deployment too, and what did not change is not", async ({ shop }) => {
  await shop.deploy();
  const marks = (): unknown[] =>
    shop
      .target()
      .resources.filter(({ kind }) => kind === "WasmPlugin")
      .map((plugin) => pluginConfigOf(shop.api.get(plugin) ?? plugin).plugin);
  const [first, second] = [marks(), shop.target(OTHER_ROUTES)];
  expect(first.every((mark) => /^[0-9a-f]{8}-[0-9a-f]{8}$/.test(String(mark)))).toBe(true);
  const [ingress] = shop.api.proxies;
  if (ingress?.runs === undefined) throw new Error("there is no proxy");
  const { runs } = ingress;
  ingress.runs = { ...runs, config: "2" };
  const rollout = shop.cluster().rollout({
    notify: (line) => {
      if (line.startsWith("failed")) ingress.runs = runs;
    },
    signal: new AbortController().signal,
    timeoutMs: 500,
  });
  await expect(rollout.to(second)).rejects.toThrow("revision 1 is in place");
  // The gateway's routes had changed, the waypoint's not.
  expect(marks().map((mark, index) => mark === first[index])).toEqual([false, true]);
  expect((await shop.cluster().preview.changes(shop.target().resources)).some(isChange)).toBe(false);
});

it("what had to wait is applied behind the plugins, and stays", async ({ shop }) => {
  const hops = (callers: string): { readonly hops: string } => ({
    hops: `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint }, callers: [${callers}] }`,
  });
  await shop.deploy(hops("a"));
  const from = shop.api.writes.length;
  await shop.deploy(hops("a, b"));
  const writes = shop.api.writes.slice(from).filter((write) => /wasmplugins|authorizationpolicies/.test(write));
  expect(writes.map((write) => write.split("/").at(-2))).toEqual([
    "authorizationpolicies",
    "wasmplugins",
    "wasmplugins",
    "authorizationpolicies",
  ]);
  const policy = shop.target(hops("a, b")).resources.find(({ kind }) => kind === "AuthorizationPolicy");
  expect(policy && shop.api.get(policy)?.["spec"]).toEqual(policy?.["spec"]);
});

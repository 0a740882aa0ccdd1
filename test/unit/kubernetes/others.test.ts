import { describe, expect } from "vitest";

import { currentRevision, newestFirst } from "../../../shim/plan/revision.js";
import { titleOf } from "../../../shim/render/istio/resource.js";
import { type FakeShop, OTHER_ROUTES, shopTest as it } from "./shop.js";

const secret = (
  place: number,
): { apiVersion: string; kind: string; metadata: { name: string; namespace: string } } => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: `shop-revision-${String(place)}`, namespace: "istio-ingress" },
});

describe.concurrent("the revisions", () => {
  it("of the running deployment stays, however often the next one fails", async ({ shop }) => {
    await shop.deploy();
    const { revisions } = shop.cluster();
    const [first] = await revisions.list();
    if (first === undefined) throw new Error("there is no revision");
    for (let number = 2; number <= 25; number++) {
      await revisions.write({ ...first, number, state: "pending" });
      await revisions.write({ ...first, number, state: "failed" });
    }
    const known = await shop.cluster().revisions.list();
    expect(known).toHaveLength(10);
    expect(currentRevision(known)?.number).toBe(1);
    expect(newestFirst(known)[0]?.number).toBe(25);
    // With what runs already, it is the revision of before that is found.
    expect(await shop.deploy()).toBe(26);
  });

  it("leave alone a Secret of their name that is somebody else's", async ({ shop }) => {
    const theirs = { ...secret(1), type: "Opaque", data: { password: "cHJlY2lvdXM=" } };
    shop.api.put(theirs);
    for (let round = 0; round < 3; round++) await shop.deploy(round % 2 === 0 ? {} : OTHER_ROUTES);
    expect((await shop.cluster().revisions.list()).map(({ number }) => number).sort()).toEqual([1, 2, 3]);
    await shop.rollout().remove();
    expect(shop.api.get(theirs)).toMatchObject({ type: "Opaque", data: { password: "cHJlY2lvdXM=" } });
    expect(shop.api.get(secret(0))).toBeUndefined();
  });
});

describe.concurrent("a deployment that somebody else has begun", () => {
  /** Begins one that stops at the request that is so, until what is returned is called. */
  function held(
    shop: FakeShop,
    isIt: (method: string, path: string, isDryRun: boolean) => boolean,
  ): {
    readonly reached: Promise<void>;
    readonly ended: Promise<unknown>;
    readonly release: () => void;
  } {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let reach = (): void => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    let isHeld = false;
    shop.api.before = (method, path, isDryRun) => {
      if (isHeld || !isIt(method, path, isDryRun)) return undefined;
      isHeld = true;
      reach();
      return gate;
    };
    const ended = shop
      .rollout()
      .to(shop.target(OTHER_ROUTES))
      .catch((error: unknown) => error);
    return { reached, ended, release };
  }

  it("keeps the next from beginning, as long as they are at it", async ({ shop }) => {
    await shop.deploy();
    const first = held(
      shop,
      (method, path, isDryRun) => method === "PATCH" && !isDryRun && path.includes("/virtualservices/"),
    );
    await first.reached;
    await expect(shop.rollout().to(shop.target())).rejects.toThrow("Somebody else is deploying shop to this cluster.");
    await expect(shop.rollout().remove()).rejects.toThrow("Somebody else is deploying shop to this cluster.");
    first.release();
    expect(await first.ended).toMatchObject({ revision: 2 });
  });

  it("that has been taken for dead removes nothing more, and does not say that it is deployed", async ({ shop }) => {
    await shop.deploy();
    const known = await shop.cluster().revisions.list();
    const first = held(
      shop,
      (method, path, isDryRun) => method === "PATCH" && !isDryRun && path.includes("/wasmplugins/"),
    );
    await first.reached;
    const newer = known.find(({ number }) => number === 1);
    if (newer === undefined) throw new Error("there is no revision 1");
    const other = shop.cluster().revisions;
    await other.list();
    await other.write({ ...newer, number: 3, state: "pending" });
    first.release();
    const error = (await first.ended) as Error;
    expect(error.message).toContain("Somebody else is deploying shop to this cluster.");
    expect(error.message).toContain("Another deployment has begun since: nothing was undone.");
  });
});

describe.concurrent("uninstall", () => {
  it("leaves alone what has become another's under the same name", async ({ shop }) => {
    await shop.deploy();
    const ours = shop.target().resources.find(({ kind }) => kind === "VirtualService");
    if (ours === undefined) throw new Error("there is no VirtualService");
    const theirs = { ...ours, metadata: { ...ours.metadata, labels: { team: "payments" } } };
    shop.api.remove(ours);
    shop.api.put(theirs);
    await shop.rollout().remove();
    expect(shop.api.get(ours)).toMatchObject({ metadata: { labels: { team: "payments" } } });
    expect(shop.notices).toContain(`${titleOf(ours)} is not hopgate's any more: left alone`);
  });

  it("removes a Gateway that was there before, once it was gone and made anew", async ({ shop }) => {
    await shop.deploy();
    const gateway = shop
      .target()
      .resources.find(({ kind, metadata }) => kind === "Gateway" && metadata.name === "waypoint");
    if (gateway === undefined) throw new Error("there is no waypoint");
    shop.api.remove(gateway);
    await shop.deploy();
    await shop.rollout().remove();
    expect(shop.api.get(gateway)).toBeUndefined();
  });
});

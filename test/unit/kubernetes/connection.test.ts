import { readFileSync, writeFileSync } from "node:fs";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Connection } from "../../../shim/kubernetes/connection.js";
import { type Folder, temporaryFolder } from "../commands/support.js";
import { writeKubeconfig } from "./api-server.js";
import { type FakeShop, shopTest } from "./shop.js";

shopTest("an API server that has too much to do is asked again, some times", async ({ shop }) => {
  shop.api.busy = 3;
  expect(await shop.deploy()).toBe(1);
  expect(shop.api.busy).toBe(0);
  shop.api.busy = 100;
  await expect(shop.cluster().revisions.list()).rejects.toThrow("HTTP 429");
  expect(shop.api.busy).toBeGreaterThan(0);
});

/** Makes that the user of the shop's kubeconfig. */
function become(shop: FakeShop, user: object): void {
  const config = JSON.parse(readFileSync(shop.kubeconfig, "utf8")) as { users: object[] };
  writeFileSync(shop.kubeconfig, JSON.stringify({ ...config, users: [{ name: "user", user }] }));
}

shopTest("acts as the user and the groups that the kubeconfig says, as kubectl does", async ({ shop }) => {
  const groups = ["team", "shop-deployers"];
  become(shop, { as: "dev", "as-groups": groups, "as-uid": "7", "as-user-extra": { "a/b": ["c"] } });
  await shop.cluster().connection.send({ method: "GET", path: "/version" });
  expect(shop.api.headers).toMatchObject({
    "impersonate-user": "dev",
    "impersonate-group": "team, shop-deployers",
    "impersonate-uid": "7",
    "impersonate-extra-a%2fb": "c",
  });
});

shopTest("acts as nobody else where groups come without a user, which kubectl refuses too", ({ shop }) => {
  become(shop, { "as-groups": ["team"] });
  expect(() => shop.cluster()).toThrow("acts as groups, a uid or extra, and as no user");
});

describe("KUBECONFIG with several files", () => {
  let folder: Folder;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    folder.remove();
  });

  const open = (context?: string): Connection => Connection.open({ context }, new AbortController().signal);

  it("is what those say that are there: of two words about one thing, the first", async () => {
    const first = await writeKubeconfig(`${folder.path}/first`, [{ name: "one", port: 1001 }]);
    const second = await writeKubeconfig(`${folder.path}/second`, [
      { name: "two", port: 1002 },
      { name: "one", port: 1003 },
    ]);
    vi.stubEnv("KUBECONFIG", `${folder.path}/none:${first}:${folder.path}/neither:${second}`);
    expect(open().context).toBe("one");
    expect(open("two").context).toBe("two");
    await expect(open("one").send({ method: "GET", path: "/version" })).rejects.toThrow("https://127.0.0.1:1001");
  });

  it("of which none is there is refused, and all are named", () => {
    vi.stubEnv("KUBECONFIG", "/nonexistent/a:/nonexistent/b");
    expect(() => open()).toThrow("KUBECONFIG names no file that is there: /nonexistent/a, /nonexistent/b");
  });

  it("of which one is no kubeconfig is refused, and that one is named", async () => {
    const good = await writeKubeconfig(`${folder.path}/good`, [{ name: "one", port: 1001 }]);
    const bad = folder.write("bad", "{ contexts: [");
    vi.stubEnv("KUBECONFIG", `${good}:${bad}`);
    expect(() => open()).toThrow(new RegExp(`^${bad} cannot be used: `));
  });
});

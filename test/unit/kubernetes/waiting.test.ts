import { afterEach, beforeEach, expect, it } from "vitest";

import { Waiting } from "../../../shim/kubernetes/waiting.js";
import type { ExpectedHop } from "../../../shim/plan/revision.js";
import { FakeShop } from "./shop.js";

let shop: FakeShop;
let said: string[];
beforeEach(async () => {
  shop = await FakeShop.open();
  said = [];
  for (const proxy of shop.api.proxies) proxy.runs = RUNS;
});
afterEach(() => shop.close());

const RUNS = { config: "1", module: "0123456789abcdef" };
const hops = (): readonly ExpectedHop[] => shop.target().hops.map((hop) => ({ ...hop, ...RUNS }));

/** `onLine` is called with each line. */
function waiting(timeoutMs: number, onLine: (line: string) => void = () => undefined): Waiting {
  const notify = (line: string): void => {
    said.push(line);
    onLine(line);
  };
  return new Waiting(shop.cluster().proxies, { notify, signal: new AbortController().signal, timeoutMs });
}

it("says how many proxies run it whenever that changes, in one line, and nothing where all do at once", async () => {
  await waiting(5000).untilLoaded(hops());
  expect(said).toEqual([]);
  const [ingress] = shop.api.proxies;
  const { runs } = ingress ?? {};
  if (ingress !== undefined) ingress.runs = undefined;
  await waiting(5000, () => {
    if (ingress !== undefined) ingress.runs = runs;
  }).untilLoaded(hops());
  expect(said).toEqual([
    "proxies that run it: ingress 0/1, agents 1/1",
    "proxies that run it: ingress 1/1, agents 1/1",
  ]);
});

it("says what it waits for where nothing changes for a while, once", async () => {
  const [ingress] = shop.api.proxies;
  if (ingress !== undefined) ingress.runs = undefined;
  await expect(waiting(5000).untilLoaded(hops())).rejects.toThrow("Not every proxy runs what was deployed");
  expect(said).toEqual([
    "proxies that run it: ingress 0/1, agents 1/1",
    "waiting for ingress: istio-ingress/ingress-0 is absent: it runs no filter of this hop",
  ]);
});

it("a proxy that does not answer is said to be the one, not the API server", async () => {
  const [ingress] = shop.api.proxies;
  if (ingress !== undefined) ingress.isSilent = true;
  const [status] = await shop.cluster().proxies.statuses(hops());
  expect(status).toMatchObject({
    state: "unknown",
    reason: "no answer on port 15090 within 5 s (asked through the API server)",
  });
});

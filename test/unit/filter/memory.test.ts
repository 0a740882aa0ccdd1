/** The memory of the module stays as it is, however much passes through. */
import { expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import {
  answerAll,
  answered,
  expectNoTrap,
  KB,
  LLM,
  pluginConfig,
  reconfigure,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";

const STREAMS = 1_000_000;
const CONFIGURATIONS = 1_000;

/** Does something `times` times; gives the pages after each tenth. */
function pagesByTenth(proxy: Emulator, times: number, once: (i: number) => void): number[] {
  const pages: number[] = [];
  for (let i = 0; i < times; i++) {
    once(i);
    if ((i + 1) % (times / 10) === 0) pages.push(proxy.vm(0).memoryPages());
  }
  return pages;
}

function expectFlat(pages: number[]): void {
  expect(pages).toHaveLength(10);
  expect(new Set(pages).size, `pages by tenth: ${pages.join()}`).toBe(1);
}

test(`${STREAMS} streams of every kind`, { timeout: 300_000 }, async () => {
  const proxy = await warmFilter(pluginConfig({ unmatched: "reject", timing: { expose: "always" } }));
  const forged: Headers = [
    ["x-hopgate-backend", "a"],
    ["x-hopgate-x", "b"],
    ["authorization", "c"],
    ["x-serverless-authorization", "d"],
  ];
  let second = 0;
  const pages = pagesByTenth(proxy, STREAMS, (i) => {
    const kind = i % 8;
    if (kind === 0) send(proxy, KB).abort();
    else if (kind === 1) send(proxy, "a,b");
    else if (kind === 2) send(proxy, `h${i}.example`);
    else if (kind === 3) answered(send(proxy, KB, forged));
    else answered(send(proxy, kind < 6 ? KB : LLM));
    if (i % (STREAMS / 2000) === 0) {
      proxy.advance(1000);
      answerAll(proxy);
      second++;
    }
  });
  expectFlat(pages);
  expect(second).toBe(2000);
  expectNoTrap(proxy);
});

test("10,000 requests that are held, released, refused or given up", { timeout: 60_000 }, async () => {
  const proxy = await startFilter(pluginConfig({ identity: { maxWaiters: 100 } }), { workers: 2 });
  const pages = pagesByTenth(proxy, 1000, (i) => {
    const streams = Array.from({ length: 10 }, (_, k) => send(proxy, KB, [], k % 2));
    for (const stream of streams.slice(0, 3)) stream.abort();
    proxy.advance(20);
    if (i % 2 === 0) for (const call of proxy.calls) call.fail();
    else answerAll(proxy, { exp: Math.floor(proxy.clock.wallMs / 1000) + 7 });
    proxy.advance(20);
    for (const stream of streams) if (!stream.ended) stream.abort();
    proxy.advance(10_000);
    for (const call of proxy.calls) call.fail();
  });
  expectFlat(pages);
  expectNoTrap(proxy);
});

test("ten thousand requests at once, and again", { timeout: 60_000 }, async () => {
  const proxy = await warmFilter();
  const wave = (): void => {
    const streams = Array.from({ length: 10_000 }, () => send(proxy, LLM));
    for (const stream of streams) answered(stream);
    proxy.advance(1000);
  };
  wave();
  const pages = proxy.vm(0).memoryPages();
  wave();
  wave();
  expect(proxy.vm(0).memoryPages()).toBe(pages);
});

test(`${CONFIGURATIONS} configurations, with streams that outlive theirs`, { timeout: 300_000 }, async () => {
  const proxy = await startFilter();
  const config = (i: number): string => {
    const routes = Array.from({ length: 40 }, (_, k) => ({
      hosts: [`h${k}.v${i}.example`, `*.h${k}.v${i}.example`],
      to: [{ backend: "llm", weight: 100 }],
    }));
    return JSON.stringify(pluginConfig({ routes: [...pluginConfig().routes, ...routes] }));
  };
  const pages = pagesByTenth(proxy, CONFIGURATIONS, (i) => {
    const old = send(proxy, LLM);
    const held = send(proxy, KB);
    reconfigure(proxy, config(i));
    answered(old);
    held.abort();
    proxy.advance(20);
    answerAll(proxy);
    answered(send(proxy, `x.h7.v${i}.example`));
  });
  expectFlat(pages);
  const gauges = Object.entries(proxy.metrics().gauges)
    .filter(([name]) => name.startsWith("hopgate_config."))
    .map(([, value]) => value);
  // One configuration runs, on a worker and the main thread; of all others nothing is left.
  expect(gauges.filter((value) => value !== 0)).toEqual([2]);
  expectNoTrap(proxy);
});

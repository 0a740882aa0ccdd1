import { createServer } from "node:http";

import { expect, it } from "vitest";

import { measureLatency } from "../../../bench/measure-latency.js";
import type { Subject } from "../../../bench/subject.js";
import type { Variant } from "../../../bench/variants.js";
import { listen } from "../../../shim/local/server.js";

it("a machine on which no rate is held is said to be too busy, and the generator is never asked for none", async () => {
  const server = await listen(
    createServer((_, response) => response.end()),
    "http",
  );
  const rates: number[] = [];
  const generator = {
    name: "late",
    send: ({ ratePerSec }: { ratePerSec: number }) => {
      rates.push(ratePerSec);
      return Promise.resolve({ latencies_us: Float64Array.of(60_000), unanswered: 0 });
    },
  };
  const measured = measureLatency({
    withSubject: (use) => use({ portOf: () => server.port } as unknown as Subject),
    processes: 1,
    generator: generator as never,
    variants: [{ id: "none", name: "no filter", host: "a.example", base: "none" } as unknown as Variant],
    rounds: 1,
    durationMs: 20,
    ratePerSec: undefined,
    onProgress: () => undefined,
  });
  await expect(measured).rejects.toThrow("no filter holds no rate at all with 99 of 100 requests within 50 ms");
  expect(Math.min(...rates)).toBeGreaterThan(0);
  await server.close();
});

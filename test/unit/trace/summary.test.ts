import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Trace, tracePath } from "../../../shim/trace/path.js";
import { parseServerTiming } from "../../../shim/trace/server-timing.js";
import { comparePaths, percentile, summarise } from "../../../shim/trace/summary.js";

function trace(header: string, headers_us: number, more: { ttft_us?: number; connect_us?: number } = {}): Trace {
  const client = { connect_us: 0, headers_us, total_us: headers_us + 500, ...more };
  return tracePath(parseServerTiming([header]), client);
}

describe("a percentile", () => {
  it("is the value of the nearest rank", () => {
    const values = [15, 20, 35, 40, 50];
    expect([5, 30, 40, 50, 100].map((percent) => percentile(values, percent))).toEqual([15, 20, 20, 35, 50]);
  });

  it("of a hundred values is the value of that rank, in any order", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([percentile(values, 50), percentile(values, 95)]).toEqual([50, 95]);
  });

  it("of nothing is nothing", () => {
    expect(percentile([], 50)).toBeUndefined();
  });

  it("is a value that at least so many do not exceed, and the smallest", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const found = percentile(values, percent) ?? Number.NaN;
        const share = (limit: number): number => values.filter((value) => value <= limit).length * 100;
        expect(values).toContain(found);
        expect(share(found)).toBeGreaterThanOrEqual(percent * values.length);
        expect(share(found - 1)).toBeLessThan(percent * values.length);
      }),
    );
  });
});

const inCluster = [1, 2, 3].map((ms) =>
  trace(
    `app;dur=${String(ms)}, ingress;dur=${String(ms + 1)}, ingress-upstream;dur=${String(ms + 0.9)}`,
    ms * 1000 + 1500,
  ),
);
const cloudRun = [
  trace(
    "agents;dur=90, agents-upstream;dur=50, agents-wait;dur=39.9, ingress;dur=92, ingress-upstream;dur=91",
    93_000,
    {
      connect_us: 400,
      ttft_us: 93_200,
    },
  ),
];

describe("a summary", () => {
  it("has the percentiles of the whole and of each part", () => {
    expect(summarise("in-cluster", inCluster)).toEqual({
      path: "in-cluster",
      count: 3,
      total: { p50_us: 4000, p95_us: 5000 },
      ttft: undefined,
      connect: { p50_us: 0, p95_us: 0 },
      hops: [{ name: "ingress", self: { p50_us: 100, p95_us: 100 } }],
      wait: { p50_us: 0, p95_us: 0 },
      network: { p50_us: 1400, p95_us: 1400 },
      service: { p50_us: 2000, p95_us: 3000 },
      upstream: undefined,
      stream: { p50_us: 500, p95_us: 500 },
    });
  });

  it("of no traces has no percentiles", () => {
    expect(summarise("empty", [])).toMatchObject({ count: 0, total: undefined, hops: [], service: undefined });
  });
});

describe("the comparison", () => {
  it("is a table of the paths, with a dash where a path has nothing", () => {
    const table = comparePaths([summarise("in-cluster", inCluster), summarise("Cloud Run", cloudRun)]);
    expect(`\n${table}\n`).toBe(`
                          in-cluster          Cloud Run
requests                           3                  1
milliseconds            p50      p95       p50      p95
client total           4.00     5.00      93.5     93.5
first token               -        -      93.2     93.2
client (connect)          0        0     0.400    0.400
network                1.40     1.40      1.60     1.60
ingress self          0.100    0.100      1.00     1.00
agents self               -        -     0.100    0.100
wait                      0        0      39.9     39.9
service                2.00     3.00         -        -
service + network         -        -      50.0     50.0
stream                0.500    0.500     0.500    0.500
`);
  });
});

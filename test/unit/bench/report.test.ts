import { describe, expect, it } from "vitest";
import { drawHtml } from "../../../bench/html-report.js";
import { noiseWarnings } from "../../../bench/machine.js";
import { ratiosOf, validationRatio } from "../../../bench/report.js";
import { linearAxis, logAxis } from "../../../bench/svg.js";
import { drawReport } from "../../../bench/text-report.js";
import { cpuPart, sampleReport } from "../../support/bench-report.js";

describe("ratios", () => {
  const result = (variant: string, rounds: readonly number[]) => {
    const [sample] = cpuPart().variants;
    if (sample === undefined) throw new Error("the sample has no variants");
    return { ...sample, variant, rounds_added_us: rounds };
  };

  it("are of the pairs that were both measured", () => {
    const ratios = ratiosOf(
      [result("hopgate-inject", [6, 7, 8]), result("rust-inject", [9, 10, 11]), result("lua-route", [1, 1, 1])],
      3,
    );
    expect(ratios.map(({ variant, to, added_ratio }) => [variant, to, added_ratio.median])).toEqual([
      ["hopgate-inject", "rust-inject", 0.7],
    ]);
  });

  it("put what validation adds beside what jwt_authn adds", () => {
    const [ratio] = validationRatio(
      [
        result("hopgate-route", [8, 8, 8]),
        result("hopgate-validate-seen", [11, 11, 11]),
        result("jwt-authn-cache", [2, 2, 2]),
      ],
      3,
    );
    expect(ratio?.added_ratio.median).toBe(1.5);
    expect(validationRatio([result("hopgate-route", [8, 8, 8])], 3)).toEqual([]);
  });
});

describe("the report on a terminal", () => {
  const text = drawReport(sampleReport({ warnings: ["The machine is busy."] }));

  it("has a row for each variant, with its interval", () => {
    expect(text).toMatch(/^hopgate, route \+ inject +37\.0 +9\.0 +8\.1 to 9\.9 +0\.32$/m);
    expect(text).toMatch(/^no filter +28\.0$/m);
  });

  it("has every part, who sent the load, what is missing and why", () => {
    for (const part of [
      "latency at 4,000",
      "instructions of Envoy",
      "VM KiB",
      "a new configuration",
      "200 of 200",
      "each costs",
      "sent by node",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toContain("Not measured: the Rust peer: there is no cargo");
    expect(text).toContain("Warning: The machine is busy.");
  });

  it("leaves out what was not measured", () => {
    const little = drawReport(
      sampleReport({
        latency: null,
        instructions: null,
        memory: [],
        reload: [],
        burst: [],
        host_calls: [],
        generator: null,
      }),
    );
    expect(little).not.toMatch(/latency|instructions|VM KiB|burst|each costs|sent by/);
  });
});

describe("the report as a page", () => {
  const page = drawHtml(sampleReport());

  it("needs nothing from anywhere: no script, no link, no image, no font", () => {
    expect(page).not.toMatch(/<(script|link|img|iframe|object)|url\(|@import|(src|href)=|https?:/i);
  });

  it("shows names as they are", () => {
    expect(page).toContain("&lt;your&gt; filter");
    expect(page).not.toContain("<your>");
  });
});

describe("a noisy machine", () => {
  const quiet = sampleReport().machine;
  const [base, , , inject] = cpuPart().variants;

  it("is told from a quiet one", () => {
    const added = (low: number, high: number) =>
      [base, inject].flatMap((result) =>
        result === undefined ? [] : { ...result, added_us: { median: 9, low, high } },
      );
    expect(noiseWarnings(quiet, added(8.5, 9.5))).toEqual([]);
    expect(noiseWarnings({ ...quiet, load_at_start: 1.5 }, [])[0]).toContain("the load was 1.5 on 2 cores");
    expect(noiseWarnings({ ...quiet, stolen_share: 0.1 }, [])[0]).toContain("10 %");
    expect(noiseWarnings({ ...quiet, cache_read_ns: 170 }, [])[0]).toContain("170 ns");
    expect(noiseWarnings(quiet, added(8, 11))[0]).toContain("2 of 2");
  });
});

describe("an axis", () => {
  it("has round ticks and room for the greatest value", () => {
    const axis = linearAxis("µs", 38);
    expect(axis.ticks.map(({ label }) => label)).toEqual(["0", "10", "20", "30", "40"]);
    expect(axis.place(0)).toBe(0);
    expect(axis.place(40)).toBe(1);
    expect(linearAxis("µs", 0).place(0)).toBe(0);
  });

  it("of logarithms has equal steps for equal factors", () => {
    const axis = logAxis(
      "routes",
      [10, 100, 1000].map((value) => ({ value, label: "" })),
    );
    expect(axis.place(100)).toBeCloseTo(0.5);
    expect(axis.place(1000)).toBe(1);
  });
});

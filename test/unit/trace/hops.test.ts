import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readReport } from "../../../shim/trace/hops.js";
import { parseServerTiming, type ServerTiming } from "../../../shim/trace/server-timing.js";
import { entriesOf, hopAccount, hopName } from "./arbitrary.js";

function read(header: string, known?: readonly string[]): ReturnType<typeof readReport> {
  return readReport(parseServerTiming([header]), known);
}

function names(header: string, known?: readonly string[]): string[] {
  return read(header, known).hops.map((hop) => hop.name);
}

describe("hops", () => {
  it("are read with self, wait and upstream, the hop next to the client first", () => {
    const report = read(
      "app;dur=9.1, agents;dur=12.402, agents-upstream;dur=12.050, agents-wait;dur=0.310, ingress;dur=13, ingress-upstream;dur=12.8",
    );
    expect(report).toEqual({
      hops: [
        { name: "ingress", total_us: 13_000, self_us: 200, wait_us: 0, upstream_us: 12_800 },
        { name: "agents", total_us: 12_402, self_us: 42, wait_us: 310, upstream_us: 12_050 },
      ],
      service: { name: "app", duration_us: 9_100 },
      others: [],
    });
  });

  it.each([
    ["a-upstream;dur=1, a-upstream-upstream;dur=1, a;dur=2, a-upstream;dur=2", ["a", "a-upstream"]],
    ["a;dur=1, a-upstream;dur=1, a-upstream;dur=2, a-upstream-upstream;dur=2", ["a-upstream", "a"]],
    ["a;dur=1, a-upstream;dur=1, a-wait;dur=2, a-wait-upstream;dur=2", ["a-wait", "a"]],
    [
      "a;dur=1, a-upstream;dur=1, a-wait;dur=1, a-wait-upstream;dur=2, a-wait-upstream-upstream;dur=2",
      ["a-wait-upstream", "a"],
    ],
    ["a;dur=1, a-upstream;dur=1, a;dur=2, a-upstream;dur=2", ["a", "a"]],
  ])("whose names end as entries do are told apart: %s", (header, expected) => {
    expect(names(header)).toEqual(expected);
  });

  it("of any names are read as they were written, without knowing the names", () => {
    fc.assert(
      fc.property(fc.array(hopAccount, { maxLength: 8 }), (hops) => {
        const report = readReport(hops.flatMap(entriesOf));
        expect(
          report.hops.map(({ name, total_us, upstream_us, wait_us }) => ({ name, total_us, upstream_us, wait_us })),
        ).toEqual(
          hops
            .toReversed()
            .map(({ name, total_us, upstream_us, wait_us }) => ({ name, total_us, upstream_us, wait_us })),
        );
        expect(report.others).toEqual([]);
      }),
    );
  });

  it("are not what a service reports in their form, where the names are known", () => {
    const header = "db;dur=3, db-upstream;dur=2, ingress;dur=5, ingress-upstream;dur=4";
    expect(names(header)).toEqual(["ingress", "db"]);
    expect(names(header, ["agents", "ingress"])).toEqual(["ingress"]);
  });

  it("are found before and behind what a proxy of someone else adds", () => {
    const report = read(
      "agents;dur=2, agents-upstream;dur=1, cdn;dur=1, ingress;dur=4, ingress-upstream;dur=3, edge;desc=HIT",
    );
    expect(report.hops.map((hop) => hop.name)).toEqual(["ingress", "agents"]);
    expect(report.others).toEqual([
      { name: "cdn", duration: 1 },
      { name: "edge", description: "HIT" },
    ]);
    expect(report.service).toBeUndefined();
  });

  it.each([
    "ingress, ingress-upstream;dur=1",
    "ingress;dur=-1, ingress-upstream;dur=1",
    "ingress;dur=1e300, ingress-upstream;dur=1",
  ])("need durations that can be: %s", (header) => {
    expect(names(header)).toEqual([]);
  });

  it("have no self below 0", () => {
    expect(read("a;dur=1, a-upstream;dur=1.1").hops[0]).toMatchObject({
      self_us: 0,
      total_us: 1000,
      upstream_us: 1100,
    });
  });
});

describe("the service's time", () => {
  const behind = ", ingress;dur=40, ingress-upstream;dur=39";

  it("is the only entry with a duration", () => {
    const report = read(`cache;desc=hit, app;dur=9${behind}`);
    expect(report.service).toEqual({ name: "app", duration_us: 9000 });
    expect(report.others).toEqual([{ name: "cache", description: "hit" }]);
  });

  it("is the entry named total, of several", () => {
    const report = read(`db;dur=3, total;dur=9, render;dur=5${behind}`);
    expect(report.service).toEqual({ name: "total", duration_us: 9000 });
    expect(report.others.map((entry) => entry.name)).toEqual(["db", "render"]);
  });

  it("is none of several others", () => {
    const report = read(`db;dur=3, render;dur=5${behind}`);
    expect(report.service).toBeUndefined();
    expect(report.others.map((entry) => entry.name)).toEqual(["db", "render"]);
  });

  it("may have the name of a hop", () => {
    const report = read("agents;dur=9, agents;dur=12, agents-upstream;dur=11", ["agents"]);
    expect(report.hops).toHaveLength(1);
    expect(report.service).toEqual({ name: "agents", duration_us: 9000 });
  });

  it("is read where there are no hops", () => {
    expect(read("app;dur=9").service).toEqual({ name: "app", duration_us: 9000 });
  });
});

it("loses no entry, whatever comes", () => {
  const name = fc.tuple(hopName, fc.constantFrom("", "-upstream", "-wait")).map((parts) => parts.join(""));
  const entry: fc.Arbitrary<ServerTiming> = fc.record(
    { name, duration: fc.double({ noNaN: true }) },
    { requiredKeys: ["name"] },
  );
  fc.assert(
    fc.property(fc.array(entry), fc.option(fc.array(hopName), { nil: undefined }), (entries, known) => {
      const { hops, service, others } = readReport(entries, known);
      const inHops = entries.length - others.length - (service === undefined ? 0 : 1);
      expect(inHops).toBeGreaterThanOrEqual(2 * hops.length);
      expect(inHops).toBeLessThanOrEqual(3 * hops.length);
      expect(others).toEqual(entries.filter((candidate) => others.includes(candidate)));
      for (const hop of hops) expect(known?.includes(hop.name) ?? true).toBe(true);
    }),
  );
});

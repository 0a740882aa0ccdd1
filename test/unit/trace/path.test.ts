import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ClientTimes, type Segment, type Trace, tracePath } from "../../../shim/trace/path.js";
import { parseServerTiming } from "../../../shim/trace/server-timing.js";
import { clientTimes, duration_us, entriesOf, hopAccount } from "./arbitrary.js";

function trace(header: string, client: ClientTimes): Trace {
  return tracePath(parseServerTiming([header]), client);
}

function drawn({ segments }: Trace): [kind: string, depth: number, start_us: number, duration_us: number][] {
  return segments.map((segment) => [segment.kind, segment.depth, segment.start_us, segment.duration_us]);
}

function sum(segments: readonly Segment[], field: "duration_us" | "overlap_us"): number {
  return segments.reduce((total, segment) => total + (segment[field] ?? 0), 0);
}

describe("a path of two hops", () => {
  const client = { connect_us: 1000, headers_us: 13_500, ttft_us: 15_000, total_us: 20_000 };

  it("is client, network, hop, wait, network, hop, network, service, stream, end to end", () => {
    const path = trace(
      "app;dur=9, agents;dur=10.2, agents-upstream;dur=9.9, ingress;dur=12, ingress-upstream;dur=10.8, ingress-wait;dur=1",
      client,
    );
    expect(drawn(path)).toEqual([
      ["client", 0, 0, 1000],
      ["network", 1, 1000, 500],
      ["hop", 1, 1500, 200],
      ["wait", 2, 1700, 1000],
      ["network", 2, 2700, 600],
      ["hop", 2, 3300, 300],
      ["network", 3, 3600, 900],
      ["service", 3, 4500, 9000],
      ["stream", 0, 13_500, 6500],
    ]);
    expect(path.segments.map((segment) => segment.label)).toContain("service (app)");
    expect(path).toMatchObject({ ...client, notes: [], others: [] });
  });

  it("has one segment for a service that reports nothing and the network to it", () => {
    const path = trace("agents;dur=10, agents-upstream;dur=9.9, ingress;dur=12, ingress-upstream;dur=10.8", client);
    expect(path.segments.at(-2)).toEqual({
      kind: "upstream",
      label: "service + network",
      depth: 3,
      start_us: 3600,
      duration_us: 9900,
    });
  });
});

describe("odd paths", () => {
  const client = { connect_us: 0, headers_us: 10_000, total_us: 10_000 };

  it("end at a hop that answered by itself", () => {
    const path = trace("ingress;dur=9, ingress-upstream;dur=0", client);
    expect(path.segments.map((segment) => segment.kind)).toEqual(["client", "network", "hop", "stream"]);
  });

  it("without a hop say so", () => {
    const path = trace("", client);
    expect(path.segments.map((segment) => segment.label)).toEqual(["client (connect)", "service + network", "stream"]);
    expect(path.notes).toEqual(["no hop reported its time: the response has no Server-Timing of a hop"]);
  });

  it("clamp what clocks cannot tell, and keep it in the data", () => {
    const path = trace("ingress;dur=10.05, ingress-upstream;dur=9", client);
    expect(path.segments[1]).toMatchObject({ kind: "network", duration_us: 0, overlap_us: 50 });
    expect(path.notes).toEqual([]);
  });

  it("name parties that contradict each other", () => {
    const path = trace("app;dur=9.5, ingress;dur=12, ingress-upstream;dur=9", client);
    expect(path.notes).toEqual([
      "the client had 10.0 ms for ingress, which took 12.0 ms: the two contradict each other by 2.00 ms",
      "ingress had 9.00 ms for app, which took 9.50 ms: the two contradict each other by 0.500 ms",
    ]);
  });
});

it("segments follow each other without gap and add up to the client's total and the overlaps", () => {
  const service = fc.option(duration_us).map((time) => (time === null ? [] : [{ name: "app", duration: time / 1000 }]));
  fc.assert(
    fc.property(fc.array(hopAccount, { maxLength: 8 }), service, clientTimes, (hops, own, client) => {
      const { segments } = tracePath([...own, ...hops.flatMap(entriesOf)], client);
      let at_us = 0;
      for (const segment of segments) {
        expect(segment.start_us).toBe(at_us);
        expect(segment.duration_us).toBeGreaterThanOrEqual(0);
        at_us += segment.duration_us;
      }
      expect(sum(segments, "duration_us")).toBe(client.total_us + sum(segments, "overlap_us"));
    }),
  );
});

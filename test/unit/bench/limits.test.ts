import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exceeded, figuresOf, readLimits } from "../../../bench/limits.js";
import { UsageError } from "../../../shim/errors.js";
import { cpuPart, sampleReport } from "../../support/bench-report.js";
import { type Folder, temporaryFolder } from "../commands/support.js";

describe("limits", () => {
  const figures = figuresOf(sampleReport());

  it("name the median of every figure of a report", () => {
    expect(figures.get("cpu/http1/hopgate-inject/added_us")).toBe(9);
    expect(figures.get("cpu/http1/hopgate-inject/to/rust-inject")).toBe(0.7);
    expect(figures.get("latency/hopgate-inject/p99/added_us")).toBe(480);
    expect(figures.get("latency/hopgate-inject/p99/over/rust-inject_us")).toBe(-3);
    expect(figures.get("instructions/hopgate-inject/added")).toBe(68_200);
    expect(figures.get("instructions/hopgate-inject/to/rust-inject")).toBe(0.8);
    expect(figures.get("memory/hopgate-inject/vm_end_bytes")).toBe(262_144);
    expect(figures.get("reload/none/failed")).toBe(0);
    expect(figures.get("burst/hopgate-inject/token_fetches")).toBe(1);
    expect(figures.get("host-calls/clock/cost_us")).toBe(0.12);
  });

  it("of streams are also of each chunk", () => {
    const streams = figuresOf(sampleReport({ cpu: [{ ...cpuPart(), workload: "stream", chunks: 200 }] }));
    expect(streams.get("cpu/stream/hopgate-inject/added_per_chunk_us")).toBe(9 / 200);
  });

  it("are exceeded by more, not by as much", () => {
    expect(exceeded({ "cpu/http1/hopgate-inject/added_us": 9 }, figures)).toEqual([]);
    expect(exceeded({ "cpu/http1/hopgate-inject/added_us": 8.5 }, figures)).toEqual([
      "cpu/http1/hopgate-inject/added_us is 9, more than 8.5",
    ]);
  });

  it("cannot be of what was not measured: nothing would ever exceed them", () => {
    expect(
      exceeded({ "cpu/http1/hopgate-injekt/added_us": 9, "cpu/http1/hopgate-inject/added_us": 8 }, figures),
    ).toEqual([
      "cpu/http1/hopgate-injekt/added_us was not measured: mend the name, or measure it (--only, --variants)",
      "cpu/http1/hopgate-inject/added_us is 9, more than 8",
    ]);
  });
});

describe("a file of limits", () => {
  let folder: Folder;
  beforeEach(() => (folder = temporaryFolder()));
  afterEach(() => folder.remove());

  it("is read", () => {
    const path = folder.write("limits.json", '{ "schema_version": 1, "limits": { "memory/none/start_ms": 500 } }');
    expect(readLimits(path)).toEqual({ "memory/none/start_ms": 500 });
  });

  it.each([
    ["no JSON", "{"],
    ["another version", '{ "schema_version": 2, "limits": {} }'],
    ["a limit that is no number", '{ "schema_version": 1, "limits": { "a": "9" } }'],
    ["an unknown field", '{ "schema_version": 1, "limits": {}, "limit": {} }'],
  ])("is refused: %s", (_, text) => {
    const path = folder.write("limits.json", text);
    expect(() => readLimits(path)).toThrow(UsageError);
    expect(() => readLimits(path)).toThrow(path);
  });

  it("has to be there", () => {
    expect(() => readLimits("/no/such/file.json")).toThrow(UsageError);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Probe } from "../../support/probe.js";

describe("the table of contexts", () => {
  const probe = new Probe();

  /** Compares with a Map after each step: set, delete, get. */
  function agrees(capacity: number, limit: number, steps: readonly (readonly [kind: number, id: number])[]): void {
    probe.call("tableNew", capacity, limit);
    const model = new Map<number, number>();
    let tag = 0;
    for (const [kind, id] of steps) {
      if (kind < 2) {
        const taken = model.size < limit;
        expect(probe.call("tableSet", id, ++tag)).toBe(Number(taken));
        if (taken) model.set(id, tag);
      } else if (kind === 2) {
        expect(probe.call("tableDelete", id)).toBe(model.get(id) ?? 0);
        model.delete(id);
      } else {
        expect(probe.call("tableGet", id)).toBe(model.get(id) ?? 0);
      }
      expect(probe.call("tableSize")).toBe(model.size);
    }
    for (const [id, known] of model) expect(probe.call("tableGet", id)).toBe(known);
  }

  const kinds = fc.nat(3);

  test("is a map, for ids close together", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, fc.nat(12)), { maxLength: 120 }), (steps) => agrees(4, 8, steps)),
      { numRuns: 500, seed: 1 },
    );
  });

  test("is a map, for any ids, as it grows", () => {
    const id = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 0x7fffffff }), fc.constantFrom(0, 1, 0x7fffffff));
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, id), { maxLength: 400 }), (steps) => agrees(4, 1 << 10, steps)),
      { numRuns: 200, seed: 2 },
    );
  });

  test("is a map, for ids of one slot", () => {
    const id = fc.nat(15).map((i) => i << 24);
    fc.assert(
      fc.property(fc.array(fc.tuple(kinds, id), { maxLength: 200 }), (steps) => agrees(8, 64, steps)),
      { numRuns: 200, seed: 3 },
    );
  });

  test("refuses one more than its limit, and has room again after a removal", () => {
    probe.call("tableNew", 4, 8);
    for (let id = 1; id <= 8; id++) expect(probe.call("tableSet", id, id)).toBe(1);
    expect(probe.call("tableSet", 9, 9)).toBe(0);
    expect(probe.call("tableGet", 9)).toBe(0);
    expect(probe.call("tableDelete", 3)).toBe(3);
    expect(probe.call("tableSet", 9, 9)).toBe(1);
  });

  test("stays fast up to its limit: ids in sequence never cluster", () => {
    // A quarter of a million streams in one VM. What took half a minute with a clustering hash takes milliseconds.
    const start = performance.now();
    for (const first of [1, 0x7000_0001, 0xfff0_0000]) {
      probe.call("tableNew", 256, 1 << 18);
      expect(probe.call("tableFill", first, 1 << 18)).toBe(0);
    }
    expect(performance.now() - start).toBeLessThan(5000);
  }, 60_000);

  test("does not grow with the number of streams that have been", () => {
    probe.call("tableNew", 256, 1 << 18);
    probe.call("tableFill", 1, 100);
    const size = probe.memory.length;
    for (let round = 0; round < 1000; round++) expect(probe.call("tableFill", round * 100, 100)).toBe(0);
    expect(probe.memory.length).toBe(size);
  });
});

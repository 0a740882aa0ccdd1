import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Probe } from "../../support/probe.js";
import { onRequest } from "../../support/script.js";

type Pair = readonly [name: string, value: string];

/** The layout of proxy-wasm: count, sizes, then names and values with a NUL behind each. */
function layOut(pairs: readonly Pair[]): Buffer {
  const sizes = pairs.flatMap(([name, value]) => [name.length, value.length]);
  const head = Buffer.alloc(4 + sizes.length * 4);
  head.writeUInt32LE(pairs.length);
  sizes.forEach((size, i) => head.writeUInt32LE(size, 4 + i * 4));
  return Buffer.concat([head, ...pairs.flat().map((text) => Buffer.from(`${text}\0`, "latin1"))]);
}

const bytes = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 30,
});
const list = fc.array(fc.tuple(bytes, bytes), { maxLength: 12 });

describe("pairs from the host", () => {
  /** What a walk over these bytes finds. */
  function walk(map: Uint8Array): Pair[] {
    const probe = new Probe({ proxy_get_header_map_pairs: (p, _map, at = 0, sizeAt = 0) => p.give(map, at, sizeAt) });
    return walked(probe);
  }

  function walked(probe: Probe): Pair[] {
    probe.call("pairsRead");
    const found: Pair[] = [];
    while (probe.call("pairsNext") !== 0) {
      expect(found.length).toBeLessThan(10_000);
      const name = probe.bytes(probe.call("nameAt"), probe.call("nameLength"));
      const value = probe.bytes(probe.call("valueAt"), probe.call("valueLength"));
      found.push([name.toString("latin1"), value.toString("latin1")]);
    }
    return found;
  }

  test("are walked in order, byte for byte", () => {
    fc.assert(
      fc.property(list, (pairs) => {
        expect(walk(layOut(pairs))).toEqual(pairs);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test("of any layout end the walk, and no window reaches beyond them", () => {
    const probe = new Probe({ proxy_get_header_map_pairs: (p, _map, at = 0, sizeAt = 0) => p.give(map, at, sizeAt) });
    let map: Uint8Array = Buffer.alloc(0);
    const damaged = fc.tuple(list, fc.nat(400), fc.integer(), fc.nat(100)).map(([pairs, at, value, missing]) => {
      const whole = layOut(pairs);
      if (whole.length >= at + 4) whole.writeInt32LE(value, at);
      return whole.subarray(0, Math.max(0, whole.length - missing));
    });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), (bad) => {
        map = bad;
        for (const [name, value] of walked(probe))
          expect(name.length + value.length).toBeLessThanOrEqual(bad.length * 2);
        const end = probe.call("valueAt") + probe.call("valueLength");
        expect(end).toBeLessThanOrEqual(probe.memory.length);
      }),
      { numRuns: 1000, seed: 2 },
    );
  });

  test("are none where the host has none, or fails", () => {
    for (const status of [0, 1, 2, 6, 10]) {
      const probe = new Probe({ proxy_get_header_map_pairs: () => status });
      expect(probe.call("pairsRead")).toBe(status);
      expect(probe.call("pairsNext")).toBe(0);
    }
  });

  test("are those of the last read, not of the one before", () => {
    let answer: Pair[] = [
      ["a", "1"],
      ["b", "2"],
    ];
    const probe = new Probe({
      proxy_get_header_map_pairs: (p, _map, at = 0, sizeAt = 0) =>
        answer.length === 0 ? 2 : p.give(layOut(answer), at, sizeAt),
    });
    expect(walked(probe)).toHaveLength(2);
    answer = [["c", ""]];
    expect(walked(probe)).toEqual([["c", ""]]);
    answer = [];
    expect(walked(probe)).toEqual([]);
  });

  test("can be searched: the first of a name, from any place", () => {
    const pairs: Pair[] = [
      ["a", "1"],
      ["b", ""],
      ["a", "2"],
      ["", "3"],
    ];
    const probe = new Probe({
      proxy_get_header_map_pairs: (p, _map, at = 0, sizeAt = 0) => p.give(layOut(pairs), at, sizeAt),
    });
    walked(probe);
    const search = (name: string): string | undefined => {
      probe.fill(Buffer.from(name));
      probe.call("point", 0, 0, name.length);
      if (probe.call("pairsFind") === 0) return undefined;
      return probe.bytes(probe.call("valueAt"), probe.call("valueLength")).toString();
    };
    expect(["a", "b", "", "c", "a"].map(search)).toEqual(["1", "", "3", undefined, "1"]);
  });

  test("come through the emulator: repeated names, empty values, odd bytes, a hundred of them", async () => {
    const odd: Pair[] = [
      ["x-a", "1"],
      ["x-a", ""],
      ["x-b", "\x01;=,"],
      ["x-a", "3"],
    ];
    expect(await onRequest("pairs 0", {}, odd)).toEqual(["pairs 0 -> 0 4 x-a=1 x-a= x-b=\u0001;=, x-a=3"]);
    const many: Pair[] = Array.from({ length: 100 }, (_, i) => [`x-${i}`, "v".repeat(i)]);
    expect((await onRequest("pairs 0", {}, many))[0]).toMatch(/^pairs 0 -> 0 100 x-0= x-1=v /);
  });
});

describe("pairs from the guest", () => {
  const probe = new Probe();

  function written(maxPairs: number, capacity: number, pairs: readonly Pair[]): Buffer | undefined {
    probe.call("listNew", maxPairs, capacity);
    probe.fill(Buffer.from(pairs.flat().join(""), "latin1"));
    let at = 0;
    for (const [name, value] of pairs) {
      probe.call("point", 0, at, name.length);
      probe.call("point", 1, at + name.length, value.length);
      at += name.length + value.length;
      probe.call("listAdd");
    }
    const address = probe.call("listLayOut");
    return probe.call("listOverflowed") === 0 ? probe.bytes(address, probe.call("listSize")) : undefined;
  }

  test("are laid out as the host reads them, or overflow, at any capacity", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 14 }),
        fc.integer({ min: 0, max: 700 }),
        list,
        (maxPairs, capacity, pairs) => {
          const expected = layOut(pairs);
          const fits = pairs.length <= maxPairs && expected.length <= capacity;
          expect(written(maxPairs, capacity, pairs)).toEqual(fits ? expected : undefined);
        },
      ),
      { numRuns: 1000, seed: 3 },
    );
  });

  test("that overflow are no list that a host could misread", () => {
    expect(written(4, 20, [["name", "x".repeat(100)]])).toBeUndefined();
    expect(probe.bytes(probe.call("listLayOut"), probe.call("listSize"))).toEqual(Buffer.alloc(4));
  });

  test("can be put together anew", () => {
    written(1, 100, [
      ["a", "1"],
      ["b", "2"],
    ]);
    probe.call("listReset");
    expect(probe.call("listOverflowed")).toBe(0);
    expect(probe.bytes(probe.call("listLayOut"), probe.call("listSize"))).toEqual(layOut([]));
  });
});

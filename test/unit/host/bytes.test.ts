import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Probe } from "../../support/probe.js";

const ARENA = 8192;
const probe = new Probe();
/** Bytes around the window that no function may see: what is behind the end is as recognisable as what is before. */
const content = Buffer.from(Array.from({ length: ARENA }, (_, i) => (i * 31 + (i >> 3)) & 0xff));
probe.fill(content);

const anyInt = fc.oneof(
  fc.integer({ min: -20, max: 60 }),
  fc.integer(),
  fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, ARENA, ARENA - 1, ARENA + 1),
);
const anyByte = fc.oneof(fc.nat(255), fc.integer({ min: -2, max: 300 }));
const RUNS = { numRuns: 1000, seed: 11 };

/** `point` in the words of JavaScript: cut to what the other has. */
function cut(bytes: Buffer, start: number, length: number): Buffer {
  const from = Math.min(Math.max(start, 0), bytes.length);
  return bytes.subarray(from, from + Math.min(Math.max(length, 0), bytes.length - from));
}

describe("a window", () => {
  test("is cut to what the other has, whatever it is asked for", () => {
    fc.assert(
      fc.property(anyInt, anyInt, anyInt, anyInt, (start, length, start2, length2) => {
        probe.call("point", 0, start, length);
        const first = cut(content, start, length);
        expect(probe.call("lengthOf", 0)).toBe(first.length);
        expect(probe.call("startOf", 0)).toBe(Math.min(Math.max(start, 0), ARENA));
        probe.call("narrow", 0, start2, length2);
        expect(probe.call("lengthOf", 0)).toBe(cut(first, start2, length2).length);
      }),
      RUNS,
    );
  });

  test("answers -1 outside of itself and the byte inside", () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(50), anyInt, (start, length, index) => {
        probe.call("point", 0, start, length);
        expect(probe.call("at", index)).toBe(content.subarray(start, start + length)[index] ?? -1);
      }),
      RUNS,
    );
  });

  test("is searched from both ends, never beyond", () => {
    fc.assert(
      fc.property(fc.nat(ARENA), fc.nat(300), anyByte, anyInt, (start, length, byte, from) => {
        probe.call("point", 0, start, length);
        const window = [...cut(content, start, length)];
        const first = window.findIndex((value, i) => i >= from && value === byte);
        expect(probe.call("indexOf", byte, from)).toBe(first);
        expect(probe.call("lastIndexOf", byte)).toBe(window.lastIndexOf(byte));
      }),
      RUNS,
    );
  });

  test("reads numbers that are wholly inside, else -1", () => {
    fc.assert(
      fc.property(fc.nat(ARENA), fc.nat(20), anyInt, (start, length, index) => {
        probe.call("point", 0, start, length);
        const window = cut(content, start, length);
        const fits = (size: number): boolean => index >= 0 && index <= window.length - size;
        expect(probe.call("readI32", index)).toBe(fits(4) ? window.readInt32LE(index) : -1);
        expect(probe.call("readI64", index)).toBe(fits(8) ? window.readBigInt64LE(index) : -1n);
      }),
      RUNS,
    );
  });

  test("can be emptied", () => {
    probe.call("point", 0, 5, 10);
    probe.call("clear", 0);
    expect([
      probe.call("lengthOf", 0),
      probe.call("at", 0),
      probe.call("indexOf", 0, 0),
      probe.call("lastIndexOf", 0),
    ]).toEqual([0, -1, -1, -1]);
  });
});

test("two windows compare by all of their bytes", () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "A", "b", "Z", "z", "@", "[", "`", "{", "\xc1", "\xe1", "\0"),
    maxLength: 6,
  });
  const local = new Probe();
  fc.assert(
    fc.property(text, text, (left, right) => {
      local.fill(Buffer.from(left + right, "latin1"));
      local.call("point", 0, 0, left.length);
      local.call("point", 1, left.length, right.length);
      const lower = left.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      expect(local.call("equals")).toBe(Number(left === right));
      expect(local.call("startsWith")).toBe(Number(left.startsWith(right)));
      expect(local.call("equalsIgnoreCase")).toBe(Number(lower === right));
      expect(local.call("copies")).toBe(1);
    }),
    { numRuns: 5000, seed: 1 },
  );
});

describe("a writer", () => {
  type Step = readonly [name: string, arg: number | bigint, start: number, length: number];
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.tuple(fc.constant("writerAppend"), fc.constant(0), fc.nat(100), fc.nat(20)),
    fc.tuple(fc.constant("writerByte"), fc.nat(255), fc.constant(0), fc.constant(0)),
    fc.tuple(fc.constant("writerInteger"), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constant(0), fc.constant(0)),
    fc.tuple(fc.constant("writer32"), fc.integer(), fc.constant(0), fc.constant(0)),
    fc.tuple(
      fc.constant("writer64"),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.constant(0),
      fc.constant(0),
    ),
    fc.tuple(fc.constant("writerReset"), fc.constant(0), fc.constant(0), fc.constant(0)),
  );

  function encoded([name, arg, start, length]: Step): Buffer {
    if (name === "writerAppend") return content.subarray(start, start + length);
    if (name === "writerByte") return Buffer.of(Number(arg));
    if (name === "writerInteger") return Buffer.from(arg.toString());
    const bytes = Buffer.alloc(name === "writer32" ? 4 : 8);
    if (name === "writer32") bytes.writeInt32LE(Number(arg));
    else bytes.writeBigInt64LE(BigInt(arg));
    return bytes;
  }

  test("holds what was written and fits; the rest is left out and said", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.array(step, { maxLength: 20 }), (capacity, steps) => {
        probe.call("writerNew", capacity);
        let expected = Buffer.alloc(0);
        let overflowed = false;
        for (const one of steps) {
          const [name, arg, start, length] = one;
          if (name === "writerAppend") probe.call("point", 0, start, length);
          if (name === "writerAppend" || name === "writerReset") probe.call(name);
          else probe.call(name, arg);
          if (name === "writerReset") {
            expected = Buffer.alloc(0);
            overflowed = false;
          } else if (expected.length + encoded(one).length <= capacity)
            expected = Buffer.concat([expected, encoded(one)]);
          else overflowed = true;
          expect(probe.bytes(probe.call("writerAt"), probe.call("writerLength"))).toEqual(expected);
          expect(probe.call("writerOverflowed")).toBe(Number(overflowed));
        }
      }),
      RUNS,
    );
  });

  test.each(["0", "9", "10", "99", "100", "9007199254740993", "18446744073709551615"])(
    "writes %s in decimal",
    (digits) => {
      probe.call("writerNew", 20);
      probe.call("writerInteger", BigInt.asIntN(64, BigInt(digits)));
      expect(probe.bytes(probe.call("writerAt"), probe.call("writerLength")).toString()).toBe(digits);
    },
  );

  test("never writes beyond its buffer, also when it was emptied or cut as a window", () => {
    for (const [name, ...args] of [
      ["writerClear"],
      ["writerPoint", 10, 2],
      ["writerPoint", 16, 5],
      ["writerPoint", 0, 99],
    ] as const) {
      probe.call("writerNew", 16);
      probe.call("point", 0, 0, 16);
      probe.call("writerAppend");
      probe.call(name, ...args);
      const before = probe.memory.subarray();
      const snapshot = Buffer.from(before);
      const end = probe.call("writerAt") + (name === "writerClear" ? 0 : 16 - (args[0] ?? 0));
      for (let i = 0; i < 64; i++) probe.call("writerByte", 0xee);
      expect(probe.call("writerOverflowed")).toBe(1);
      expect(probe.memory.subarray(end, end + 64).equals(snapshot.subarray(end, end + 64))).toBe(true);
    }
  });
});

import { expect, test } from "vitest";
import { linearMemoriesIn } from "../../../bench/memory.js";

const GIB8 = 8n * 1024n ** 3n;

/** A mapping of a `maps` file. */
function mapping(start: bigint, size: bigint, permissions: string): string {
  return `${start.toString(16)}-${(start + size).toString(16)} ${permissions} 00000000 00:00 0 `;
}

/** A linear memory as V8 maps it: what the guest has, and the rest of its reservation. */
function linearMemory(start: bigint, size: bigint): string[] {
  return [mapping(start, size, "rw-p"), mapping(start + size, GIB8 - size, "---p")];
}

test("finds each linear memory by the reservation that it is the beginning of", () => {
  const maps = [
    "55a5d8600000-55a5d8698000 r-xp 00000000 fd:00 1234 /usr/bin/envoy",
    ...linearMemory(0x7f0000000000n, 262_144n),
    mapping(0x7f0300000000n, 65_536n, "r--p"),
    ...linearMemory(0x7f0400000000n, 131_072n),
  ].join("\n");
  expect(linearMemoriesIn(maps)).toEqual([262_144, 131_072]);
});

test("takes nothing else for one: other sizes, a gap between, a module without memory", () => {
  const other = mapping(0x10000n, 4096n, "rw-p");
  for (const maps of [
    [other, mapping(0x11000n, GIB8, "---p")],
    [other, mapping(0x12000n, GIB8 - 4096n, "---p")],
    [other, mapping(0x11000n, GIB8 - 4096n, "r--p")],
    [mapping(0x10000n, GIB8, "---p")],
    [""],
  ]) {
    expect(linearMemoriesIn(maps.join("\n"))).toEqual([]);
  }
});

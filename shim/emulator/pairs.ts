/**
 * Headers as name and value, and how they cross to the guest (C++ host: src/pairs_util.cc).
 *
 *     u32 count | count × (u32 name length, u32 value length) | count × (name, 0, value, 0)
 */
import type { GuestMemory } from "./guest-memory.js";

/** Names and values are bytes, given as latin1 strings: one character a byte. */
export type Pair = readonly [name: string, value: string];
export type Headers = readonly Pair[];

const MAX_BYTES = 1024 * 1024;
const MAX_COUNT = 1024;

/** The size of `pairs` on the wire. */
export function pairsSize(pairs: Headers): number {
  let size = 4;
  for (const [name, value] of pairs) size += 8 + name.length + 1 + value.length + 1;
  return size;
}

/** Writes `pairs` to a place in the guest that has room for pairsSize(pairs). */
export function putPairs(memory: GuestMemory, pointer: number, pairs: Headers): void {
  memory.putU32(pointer, pairs.length);
  let at = pointer + 4;
  for (const [name, value] of pairs) {
    memory.putU32(at, name.length);
    memory.putU32(at + 4, value.length);
    at += 8;
  }
  for (const [name, value] of pairs) {
    at = memory.putString(at, name);
    memory.putU8(at++, 0);
    at = memory.putString(at, value);
    memory.putU8(at++, 0);
  }
}

/**
 * What the guest wrote, or no pairs at all where the form is broken: a length beyond the end, a missing
 * NUL, bytes left over, more than 1024 pairs or more than 1 MiB. That is what the C++ host does, and the
 * call that carried them goes on with none.
 */
export function parsePairs(bytes: Buffer): Pair[] {
  if (bytes.length < 4 || bytes.length > MAX_BYTES) return [];
  const count = bytes.readUInt32LE(0);
  if (count > MAX_COUNT || 4 + count * 8 > bytes.length) return [];
  const pairs: Pair[] = [];
  let at = 4 + count * 8;
  for (let i = 0; i < count; i++) {
    const nameEnd = at + bytes.readUInt32LE(4 + i * 8);
    const valueEnd = nameEnd + 1 + bytes.readUInt32LE(8 + i * 8);
    if (valueEnd + 1 > bytes.length || bytes[nameEnd] !== 0 || bytes[valueEnd] !== 0) return [];
    pairs.push([bytes.toString("latin1", at, nameEnd), bytes.toString("latin1", nameEnd + 1, valueEnd)]);
    at = valueEnd + 1;
  }
  return at === bytes.length ? pairs : [];
}

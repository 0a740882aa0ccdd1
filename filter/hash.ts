/** Hashes that spread keys over tables and draws; none of them keeps a secret. */
import { Bytes } from "./host/bytes";

/** FNV-1a, 32 bits (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv). */
export const FNV_OFFSET: u32 = 0x811c_9dc5;
export const FNV_PRIME: u32 = 0x0100_0193;

/** FNV-1a of `bytes`, started from `seed`. */
export function hash(bytes: Bytes, seed: u32 = FNV_OFFSET): u32 {
  let value = seed;
  for (let i = 0; i < bytes.length; i++) value = (value ^ bytes.at(i)) * FNV_PRIME;
  return value;
}

/** Spreads every bit of `value` over all (the finalizer of MurmurHash3): FNV alone leaves the high bits of short keys poor. */
export function avalanche(value: u32): u32 {
  value = (value ^ (value >> 16)) * 0x85eb_ca6b;
  value = (value ^ (value >> 13)) * 0xc2b2_ae35;
  return value ^ (value >> 16);
}

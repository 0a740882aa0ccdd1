/**
 * Tokens that were verified before, so that the next request with the same one costs a comparison instead of a signature.
 *
 *     hash of the last bytes ──▶ set ──▶ [ entry | entry | entry | entry ]
 *
 * A token is found by the end of its signature, which is as good as random, and compared over all its bytes. Only what was
 * verified is ever stored, so nobody without a valid token can push others out. A full set gives up whatever was used
 * longest ago.
 */
import { Bytes, read64, Writer } from "./host/bytes";
import { collectLater } from "./host/memory";
import { Key } from "./key";

const SETS: i32 = 128;
const WAYS: i32 = 4;
/** Buffers of tokens come in multiples of this, so that tokens of nearly the same length fit where others were. */
const STEP_BYTES: i32 = 64;

export class VerifiedToken {
  token: Writer = new Writer(0);
  caller: Writer = new Writer(0);
  /** The key that it was verified with; null: there is no token here. */
  key: Key | null = null;
  expiresSec: i64 = 0;
  /** When it expires by the monotonic clock, so that a wall clock stepping back does not prolong it. */
  untilNs: i64 = 0;
  usedAt: u32 = 0;
}

export class VerifiedTokens {
  private entries: StaticArray<VerifiedToken | null> = new StaticArray<VerifiedToken | null>(SETS * WAYS);
  private uses: u32 = 0;

  /** The entry of exactly this token, if its key is still current. Whether it has expired is for the caller to say. */
  find(token: Bytes): VerifiedToken | null {
    const set = setOf(token);
    for (let i = set; i < set + WAYS; i++) {
      const entry = this.entries[i];
      if (entry === null) return null; // a set fills from its front
      const key = entry.key;
      if (key === null || !key.isCurrent || !entry.token.equals(token)) continue;
      entry.usedAt = ++this.uses;
      return entry;
    }
    return null;
  }

  /** Keeps a token that was just verified. Allocates where it has to make room for a longer one. */
  add(token: Bytes, caller: Bytes, key: Key, expiresSec: i64, untilNs: i64): VerifiedToken {
    const entry = this.entryFor(token);
    entry.token = copyInto(entry.token, token);
    entry.caller = copyInto(entry.caller, caller);
    entry.key = key;
    entry.expiresSec = expiresSec;
    entry.untilNs = untilNs;
    entry.usedAt = ++this.uses;
    return entry;
  }

  /** An unused entry of the token's set, else one whose key has gone, else the one used longest ago. */
  private entryFor(token: Bytes): VerifiedToken {
    const set = setOf(token);
    let oldest = set;
    let oldestAge: u32 = 0;
    for (let i = set; i < set + WAYS; i++) {
      const entry = this.entries[i];
      if (entry === null) {
        const fresh = new VerifiedToken();
        this.entries[i] = fresh;
        return fresh;
      }
      const key = entry.key;
      if (key === null || !key.isCurrent || entry.token.equals(token)) return entry;
      const age = this.uses - entry.usedAt; // of unsigned numbers: right also when they have wrapped
      if (age < oldestAge) continue;
      oldestAge = age;
      oldest = i;
    }
    return this.entries[oldest] as VerifiedToken;
  }
}

/** Index of the first entry of the token's set. */
function setOf(token: Bytes): i32 {
  const end = <u64>read64(token, token.length - 8);
  return <i32>((end * 0x9e37_79b9_7f4a_7c15) >> 57) * WAYS;
}

function copyInto(writer: Writer, bytes: Bytes): Writer {
  if (bytes.length <= writer.owner.length) return writer.reset().append(bytes);
  collectLater();
  return new Writer((bytes.length + STEP_BYTES - 1) & -STEP_BYTES).append(bytes);
}

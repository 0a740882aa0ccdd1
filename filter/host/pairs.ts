/** Header pairs put together by the guest: for an http call and for a local reply. */
import { Bytes, windows } from "./bytes";

/**
 * A list of headers in the host's layout (see `HeaderPairs`), in a buffer of fixed size. What does not fit is left out
 * and `overflowed` says so: send nothing then.
 */
export class PairsWriter {
  overflowed: bool = false;
  private count: i32 = 0;
  private names: StaticArray<Bytes>;
  private values: StaticArray<Bytes>;
  private buffer: StaticArray<u8>;
  private size: i32 = 0;

  /** At most `maxPairs` pairs and `capacity` bytes in all. */
  constructor(maxPairs: i32, capacity: i32) {
    this.names = windows(maxPairs);
    this.values = windows(maxPairs);
    this.buffer = new StaticArray<u8>(capacity);
  }

  reset(): PairsWriter {
    this.count = 0;
    this.overflowed = false;
    return this;
  }

  /** Both are read when the list is sent, not now: leave them as they are until then. */
  add(name: Bytes, value: Bytes): PairsWriter {
    if (this.count >= this.names.length) {
      this.overflowed = true;
      return this;
    }
    this.names[this.count].point(name, 0, name.length);
    this.values[this.count].point(value, 0, value.length);
    this.count += 1;
    return this;
  }

  /** For this folder only: lays the list out and returns its address; `byteLength` is then its size. */
  layOut(): usize {
    const base = changetype<usize>(this.buffer);
    let offset = 4 + this.count * 8;
    if (offset > this.buffer.length) return this.fail();
    store<u32>(base, this.count);
    for (let i = 0; i < this.count; i++) {
      const name = this.names[i];
      const value = this.values[i];
      if (offset + name.length + value.length + 2 > this.buffer.length) return this.fail();
      store<u32>(base + 4 + i * 8, name.length);
      store<u32>(base + 8 + i * 8, value.length);
      memory.copy(base + offset, name.pointer, name.length);
      offset += name.length;
      store<u8>(base + offset++, 0);
      memory.copy(base + offset, value.pointer, value.length);
      offset += value.length;
      store<u8>(base + offset++, 0);
    }
    this.size = offset;
    return base;
  }

  get byteLength(): i32 {
    return this.size;
  }

  private fail(): usize {
    this.overflowed = true;
    this.size = 4;
    store<u32>(changetype<usize>(this.buffer), 0);
    return changetype<usize>(this.buffer);
  }
}

/** What a configuration gives names to, found by name: at the cost of the name's length, however many there are. */
import { avalanche, hash } from "./hash";
import { Bytes } from "./host/bytes";

export class NameTable<T> {
  private names: StaticArray<Bytes | null> = new StaticArray<Bytes | null>(16);
  private values: StaticArray<T | null> = new StaticArray<T | null>(16);
  private size: i32 = 0;

  get(name: Bytes): T | null {
    return this.values[this.slotOf(name)];
  }

  /** `name` must not be in the table yet. */
  add(name: Bytes, value: T): void {
    if (this.size * 2 >= this.names.length) this.grow();
    const slot = this.slotOf(name);
    this.names[slot] = name;
    this.values[slot] = value;
    this.size += 1;
  }

  /** Where `name` stands, or would stand. */
  private slotOf(name: Bytes): i32 {
    const mask = this.names.length - 1;
    let slot = (<i32>avalanche(hash(name))) & mask;
    let known = this.names[slot];
    while (known !== null && !known.equals(name)) {
      slot = (slot + 1) & mask;
      known = this.names[slot];
    }
    return slot;
  }

  private grow(): void {
    const names = this.names;
    const values = this.values;
    this.names = new StaticArray<Bytes | null>(names.length * 2);
    this.values = new StaticArray<T | null>(names.length * 2);
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name === null) continue;
      const slot = this.slotOf(name);
      this.names[slot] = name;
      this.values[slot] = values[i];
    }
  }
}

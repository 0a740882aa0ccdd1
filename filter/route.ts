/** Routes: which host leads to which backends, and which of them a request gets. */
import { Ascii } from "./ascii";
import { Backend } from "./backend";
import { avalanche, FNV_OFFSET, FNV_PRIME, hash } from "./hash";
import { Bytes } from "./host/bytes";
import { Validator } from "./validator";

/** One share of a route: it takes the draws below `upTo` that the arms before it did not. */
export class Arm {
  constructor(
    readonly backend: Backend,
    /** Sum of the weights up to and with this one; the last arm's is 100. */
    readonly upTo: i32,
  ) {}
}

export class Route {
  constructor(
    private arms: StaticArray<Arm>,
    /** Header whose value keeps a session on its arm. */
    readonly sticky: Bytes | null,
    /** Makes the draws of hops and routes independent of each other. Of the route itself, not of its place among others. */
    private salt: u32,
    /** Whom callers of this route must satisfy; null: nobody. */
    readonly validator: Validator | null = null,
  ) {}

  /** The backend for a request: always the same one for the same `key`. */
  choose(key: Bytes): Backend {
    const arms = this.arms;
    if (arms.length == 1) return arms[0].backend;
    const draw = <i32>(avalanche(hash(key, this.salt)) % 100);
    let arm = 0;
    while (arm < arms.length - 1 && draw >= arms[arm].upTo) arm++;
    return arms[arm].backend;
  }
}

class Entry {
  exact: Route | null = null;
  /** The route of `*.name`. */
  wildcard: Route | null = null;

  constructor(readonly name: Bytes) {}
}

/**
 * All hosts of a configuration in one hash table. The hash of a name runs from its last byte to its first, so one pass over a
 * host yields the hash of every suffix on the way:
 *
 *     a . b . example . internal
 *             ◀─────── hash of example.internal, where *.example.internal is looked up
 *
 * The cost of a look-up grows with the length of the host, not with the number of routes.
 */
export class HostTable {
  private entries: StaticArray<Entry | null> = new StaticArray<Entry | null>(16);
  private size: i32 = 0;
  private hasWildcards: bool = false;

  /** False if the host has a route already. */
  addExact(name: Bytes, route: Route): bool {
    const entry = this.entryFor(name);
    if (entry.exact !== null) return false;
    entry.exact = route;
    return true;
  }

  /** `suffix` without `*.`. False if there is such a wildcard already. */
  addWildcard(suffix: Bytes, route: Route): bool {
    const entry = this.entryFor(suffix);
    if (entry.wildcard !== null) return false;
    entry.wildcard = route;
    this.hasWildcards = true;
    return true;
  }

  /** The route of the host itself, else that of its longest suffix with a wildcard, else null. */
  find(host: Bytes): Route | null {
    let route: Route | null = null;
    let value = FNV_OFFSET;
    for (let i = host.length - 1; i >= 0; i--) {
      const byte = host.at(i);
      if (byte == Ascii.Dot && this.hasWildcards) {
        const suffix = this.lookUp(host, i + 1, value);
        if (suffix !== null && suffix.wildcard !== null) route = suffix.wildcard;
      }
      value = (value ^ byte) * FNV_PRIME;
    }
    const entry = this.lookUp(host, 0, value);
    return entry !== null && entry.exact !== null ? entry.exact : route;
  }

  private lookUp(host: Bytes, start: i32, value: u32): Entry | null {
    const mask = this.entries.length - 1;
    let slot = (<i32>avalanche(value)) & mask;
    let entry = this.entries[slot];
    while (entry !== null && !isSuffix(entry.name, host, start)) {
      slot = (slot + 1) & mask;
      entry = this.entries[slot];
    }
    return entry;
  }

  private entryFor(name: Bytes): Entry {
    if (this.size * 2 >= this.entries.length) this.grow();
    const found = this.lookUp(name, 0, reverseHash(name));
    if (found !== null) return found;
    const entry = new Entry(name);
    this.insert(entry);
    return entry;
  }

  private insert(entry: Entry): void {
    const mask = this.entries.length - 1;
    let slot = (<i32>avalanche(reverseHash(entry.name))) & mask;
    while (this.entries[slot] !== null) slot = (slot + 1) & mask;
    this.entries[slot] = entry;
    this.size += 1;
  }

  private grow(): void {
    const old = this.entries;
    this.entries = new StaticArray<Entry | null>(old.length * 2);
    this.size = 0;
    for (let i = 0; i < old.length; i++) {
      const entry = old[i];
      if (entry !== null) this.insert(entry);
    }
  }
}

function reverseHash(name: Bytes): u32 {
  let value = FNV_OFFSET;
  for (let i = name.length - 1; i >= 0; i--) value = (value ^ name.at(i)) * FNV_PRIME;
  return value;
}

/** Whether `host` from `start` on is `name`. */
function isSuffix(name: Bytes, host: Bytes, start: i32): bool {
  if (host.length - start != name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (host.at(start + i) != name.at(i)) return false;
  }
  return true;
}

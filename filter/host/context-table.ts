/** Which stream has which id. */
import { StreamContext } from "./context";
import { collectLater } from "./memory";

/**
 * Open addressing with linear probing; a removal moves the entries behind it up, so there are no tombstones and the cost
 * does not grow with the number of streams that have been. Doubles when half full.
 *
 *     slot   0    1    2    3    4    5    6    7
 *     id     .    9   17    .    .    .   30    .      9 and 17 both belong into slot 1
 */
export class ContextTable {
  size: i32 = 0;
  private ids: StaticArray<u32>;
  private contexts: StaticArray<StreamContext | null>;

  /** Both powers of two; `limit` is a bound on the streams alive at the same time in one VM. */
  constructor(
    capacity: i32,
    private limit: i32,
  ) {
    this.ids = new StaticArray<u32>(capacity);
    this.contexts = new StaticArray<StreamContext | null>(capacity);
  }

  get(id: u32): StreamContext | null {
    const mask = this.ids.length - 1;
    let slot = home(id, mask);
    while (unchecked(this.contexts[slot]) !== null && unchecked(this.ids[slot]) != id) slot = (slot + 1) & mask;
    return unchecked(this.contexts[slot]);
  }

  /** False if the table is at its limit: the stream then stays unknown. */
  set(id: u32, context: StreamContext): bool {
    if (this.size >= this.limit) return false;
    if (this.size * 2 >= this.ids.length) this.grow();
    this.insert(id, context);
    return true;
  }

  delete(id: u32): StreamContext | null {
    const mask = this.ids.length - 1;
    let hole = home(id, mask);
    while (true) {
      if (unchecked(this.contexts[hole]) === null) return null;
      if (unchecked(this.ids[hole]) == id) break;
      hole = (hole + 1) & mask;
    }
    const deleted = unchecked(this.contexts[hole]);
    for (let slot = (hole + 1) & mask; ; slot = (slot + 1) & mask) {
      const context = unchecked(this.contexts[slot]);
      if (context === null) break;
      const other = unchecked(this.ids[slot]);
      // An entry may fill the hole if its home is not between the hole and where it stands.
      if (((slot - home(other, mask)) & mask) >= ((slot - hole) & mask)) {
        unchecked((this.ids[hole] = other));
        unchecked((this.contexts[hole] = context));
        hole = slot;
      }
    }
    unchecked((this.contexts[hole] = null));
    this.size -= 1;
    return deleted;
  }

  private insert(id: u32, context: StreamContext): void {
    const mask = this.ids.length - 1;
    let slot = home(id, mask);
    while (unchecked(this.contexts[slot]) !== null && unchecked(this.ids[slot]) != id) slot = (slot + 1) & mask;
    if (unchecked(this.contexts[slot]) === null) this.size += 1;
    unchecked((this.ids[slot] = id));
    unchecked((this.contexts[slot] = context));
  }

  private grow(): void {
    const ids = this.ids;
    const contexts = this.contexts;
    this.size = 0;
    this.ids = new StaticArray<u32>(ids.length * 2);
    this.contexts = new StaticArray<StreamContext | null>(ids.length * 2);
    for (let i = 0; i < ids.length; i++) {
      const context = contexts[i];
      if (context !== null) this.insert(ids[i], context);
    }
    collectLater();
  }
}

/** Ids are handed out in sequence; the multiplication spreads them (Fibonacci hashing). Good for masks of up to 20 bits. */
// @ts-ignore: decorator
@inline
function home(id: u32, mask: i32): i32 {
  return (<i32>((id * 0x9e37_79b1) >> 12)) & mask;
}

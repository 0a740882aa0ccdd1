/**
 * Bytes without decoding, and without allocation where it counts.
 *
 * A `Bytes` is a window on an owner:
 *
 *     owner  [ . . . . a b c d . . . . ]
 *                      ^start  length 4
 *
 * It keeps its owner alive, is pointed elsewhere by `point` (so that one object serves all requests), and never reads
 * outside of its window: `at` answers -1 there. Header values are bytes, not text; nothing here decodes.
 */
export class Bytes {
  constructor(
    public owner: StaticArray<u8>,
    public start: i32,
    public length: i32,
  ) {}

  /**
   * The UTF-8 bytes of `text`. Allocates: for constants and for the time of configuration. Where `text` is a literal, the compiler
   * puts a `literal` in the place of the call (asconfig.literals.js).
   */
  static of(text: string): Bytes {
    const size = String.UTF8.byteLength(text);
    const owner = new StaticArray<u8>(size);
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, changetype<usize>(owner));
    return new Bytes(owner, 0, size);
  }

  /** The window on one of the program's literals: made when it is first needed, and always the same, so it must not be pointed elsewhere. */
  static literal(index: i32): Bytes {
    const known = LITERAL_WINDOWS[index];
    if (known !== null) return known;
    const place = LITERAL_PLACES[index];
    const window = new Bytes(LITERALS, place >> 10, place & 1023);
    LITERAL_WINDOWS[index] = window;
    return window;
  }

  static empty(): Bytes {
    return new Bytes(NOTHING, 0, 0);
  }

  /** The byte at `index`, or -1 outside of the window. */
  @inline
  at(index: i32): i32 {
    return <u32>index < <u32>this.length ? <i32>load<u8>(this.pointer + index) : -1;
  }

  /** For this folder only: the address of the first byte. */
  @inline
  get pointer(): usize {
    return changetype<usize>(this.owner) + this.start;
  }

  /** Looks at `length` bytes of `other` from `start` on, cut to what `other` has. */
  @inline
  point(other: Bytes, start: i32, length: i32): void {
    const from = min(max(start, 0), other.length);
    this.owner = other.owner;
    this.start = other.start + from;
    this.length = min(max(length, 0), other.length - from);
  }


  @inline
  clear(): void {
    this.owner = NOTHING;
    this.start = 0;
    this.length = 0;
  }

  equals(other: Bytes): bool {
    return this.length == other.length && isSame(this.pointer, other.pointer, this.length);
  }

  startsWith(prefix: Bytes): bool {
    return this.length >= prefix.length && isSame(this.pointer, prefix.pointer, prefix.length);
  }

  /** Equal but for the case of ASCII letters. `lower` has none in upper case. */
  equalsIgnoreCase(lower: Bytes): bool {
    if (this.length != lower.length) return false;
    for (let i = 0; i < this.length; i++) {
      if (lowerCase(this.at(i)) != lower.at(i)) return false;
    }
    return true;
  }

  /** Index of the first `byte` from `from` on, or -1. */
  indexOf(byte: i32, from: i32 = 0): i32 {
    for (let i = max(from, 0); i < this.length; i++) {
      if (this.at(i) == byte) return i;
    }
    return -1;
  }

  /** Index of the last `byte`, or -1. */
  lastIndexOf(byte: i32): i32 {
    let i = this.length - 1;
    while (i >= 0 && this.at(i) != byte) i--;
    return i;
  }

  /** A copy with an owner of its own. Allocates. */
  copy(): Bytes {
    const owner = new StaticArray<u8>(this.length);
    memory.copy(changetype<usize>(owner), this.pointer, this.length);
    return new Bytes(owner, 0, this.length);
  }

  /** Decoded as UTF-8, for messages at configuration time. Allocates. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.pointer, this.length);
  }
}

/** Eight bytes at a time: a token that was seen before is compared whole for every request. */
function isSame(left: usize, right: usize, length: i32): bool {
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    if (load<u64>(left + i) != load<u64>(right + i)) return false;
  }
  for (; i < length; i++) {
    if (load<u8>(left + i) != load<u8>(right + i)) return false;
  }
  return true;
}

/** That many empty windows, to be pointed somewhere. */
export function windows(count: i32): StaticArray<Bytes> {
  const array = new StaticArray<Bytes>(count);
  for (let i = 0; i < count; i++) array[i] = Bytes.empty();
  return array;
}

const NOTHING: StaticArray<u8> = [];

/** What the program has in `Bytes.of("…")`, in UTF-8; filled in by asconfig.literals.js. */
const LITERALS: StaticArray<u8> = [];
/** Of each `Bytes.of("…")` where its text starts, times 1024, and how long it is; filled in likewise. */
const LITERAL_PLACES: StaticArray<i32> = [];
/** The window on each, once it is made. Filled in with nulls: an array made when the program starts would come too late for `abort`. */
const LITERAL_WINDOWS: StaticArray<Bytes | null> = [];

/** `byte` with `A` to `Z` in lower case; anything else (-1 too) as it is. */
// @ts-ignore: decorator
@inline
export function lowerCase(byte: i32): i32 {
  return <u32>(byte - 0x41) < 26 ? byte + 0x20 : byte;
}

/**
 * Bytes being put together, in a buffer of fixed size: what does not fit is left out and `overflowed` says so.
 * A writer is itself a `Bytes`: what has been written so far.
 */
export class Writer extends Bytes {
  overflowed: bool = false;

  constructor(capacity: i32) {
    super(new StaticArray<u8>(capacity), 0, 0);
  }


  @inline
  reset(): Writer {
    this.length = 0;
    this.overflowed = false;
    return this;
  }

  append(bytes: Bytes): Writer {
    const size = bytes.length;
    if (this.reserve(size)) {
      memory.copy(this.pointer + this.length, bytes.pointer, size);
      this.length += size;
    }
    return this;
  }

  /** As `append`, with ASCII letters in lower case. */
  appendLower(bytes: Bytes): Writer {
    const size = bytes.length;
    if (this.reserve(size)) {
      const from = bytes.pointer;
      const to = this.pointer + this.length;
      for (let i = 0; i < size; i++) store<u8>(to + i, <u8>lowerCase(<i32>load<u8>(from + i)));
      this.length += size;
    }
    return this;
  }

  appendByte(byte: i32): Writer {
    if (this.reserve(1)) {
      store<u8>(this.pointer + this.length, <u8>byte);
      this.length += 1;
    }
    return this;
  }

  /** Decimal digits of `value`. */
  appendInteger(value: u64): Writer {
    let digits = 1;
    for (let rest = value; rest >= 10; rest /= 10) digits++;
    if (this.reserve(digits)) {
      let rest = value;
      for (let i = digits - 1; i >= 0; i--) {
        store<u8>(this.pointer + this.length + i, <u8>(0x30 + (rest % 10)));
        rest /= 10;
      }
      this.length += digits;
    }
    return this;
  }

  /** Little-endian, eight bytes. */
  append64(value: i64): Writer {
    if (this.reserve(8)) {
      store<i64>(this.pointer + this.length, value);
      this.length += 8;
    }
    return this;
  }

  /** Little-endian, four bytes. */
  append32(value: i32): Writer {
    if (this.reserve(4)) {
      store<i32>(this.pointer + this.length, value);
      this.length += 4;
    }
    return this;
  }


  @inline
  private reserve(size: i32): bool {
    if (size <= this.owner.length - this.start - this.length) return true;
    this.overflowed = true;
    return false;
  }
}

/** Reads what `append64` wrote. -1 where `bytes` has no eight bytes at `index`. */
export function read64(bytes: Bytes, index: i32): i64 {
  return index >= 0 && index <= bytes.length - 8 ? load<i64>(bytes.pointer + index) : -1;
}

/** Reads what `append32` wrote. -1 where `bytes` has no four bytes at `index`. */
export function read32(bytes: Bytes, index: i32): i32 {
  return index >= 0 && index <= bytes.length - 4 ? load<i32>(bytes.pointer + index) : -1;
}

/** FNV-1a, 64 bits, never 0: to tell contents apart, not to secure them. */
export function hash64(bytes: Bytes, salt: u64 = 0): u64 {
  let hash: u64 = 0xcbf2_9ce4_8422_2325 ^ salt;
  for (let i = 0; i < bytes.length; i++) hash = (hash ^ bytes.at(i)) * 0x0000_0100_0000_01b3;
  return hash == 0 ? 1 : hash;
}

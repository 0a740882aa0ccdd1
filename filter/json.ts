/**
 * Strict JSON (RFC 8259) in bounded space: for the configuration, the claims of tokens and key sets.
 *
 * A parse fills a flat tape, one entry a value or member name, in the order of the text; nothing is decoded or copied:
 *
 *     {"a":[1,2],"b":true}
 *
 *     node    0       1     2      3       4       5     6
 *     kind    Object  Name  Array  Number  Number  Name  True
 *     text            a            1       2       b
 *     after   7       2     5      4       5       6     7       the node behind this one and all that is in it
 *
 * Stricter than the RFC: duplicate names in one object are refused (also when spelled with escapes), as are depth over 16,
 * bytes that are not UTF-8 and escapes of lone surrogates. Nothing allocates once the tape is large enough.
 */
import { Ascii, isDigit } from "./ascii";
import { FNV_OFFSET, FNV_PRIME } from "./hash";
import { Bytes, Writer } from "./host/bytes";
import { collectLater } from "./host/memory";
import { Cursor, escapeSize, utf8Size } from "./json-text";

export const enum Kind {
  Object,
  Array,
  String,
  Number,
  True,
  False,
  Null,
  /** The name of the member whose value is the next node. */
  Name,
}

export const enum JsonError {
  None,
  Empty,
  Syntax,
  TooDeep,
  TooLarge,
  DuplicateName,
  InvalidText,
}

const MAX_DEPTH: i32 = 16;
const MAX_NODES: i32 = 1 << 20;
/** Up to here names of one object are compared each with each; beyond, through a hash table. */
const FEW_NAMES: i32 = 16;

export class Json {
  error: JsonError = JsonError.None;
  /** Byte of the text at which the error was noticed. */
  errorAt: i32 = 0;

  private text: Bytes = Bytes.empty();
  private position: i32 = 0;
  private count: i32 = 0;
  private kinds: StaticArray<u8>;
  private starts: StaticArray<i32>;
  private ends: StaticArray<i32>;
  private afters: StaticArray<i32>;
  private nameTable: StaticArray<i32> = new StaticArray<i32>(0);
  private left: Cursor = new Cursor();
  private right: Cursor = new Cursor();

  /** `nodes`: values and names for which there is room at once. The tape grows to at most `limit`; a text with more is refused. */
  constructor(
    nodes: i32,
    private limit: i32 = MAX_NODES,
  ) {
    this.kinds = new StaticArray<u8>(nodes);
    this.starts = new StaticArray<i32>(nodes);
    this.ends = new StaticArray<i32>(nodes);
    this.afters = new StaticArray<i32>(nodes);
  }

  /** Parses all of `text`, which must stay as it is while nodes are read. The top value is node 0. */
  parse(text: Bytes): bool {
    this.text = text;
    this.position = 0;
    this.count = 0;
    this.error = JsonError.None;
    this.skipSpace();
    if (this.position >= text.length) return this.fail(JsonError.Empty);
    if (!this.value(0)) return false;
    this.skipSpace();
    return this.position == text.length ? true : this.fail(JsonError.Syntax);
  }

  kind(node: i32): Kind {
    return this.kinds[node];
  }

  /** First child of an array, first name of an object; -1 if there is none. */
  first(node: i32): i32 {
    return this.afters[node] == node + 1 ? -1 : node + 1;
  }

  /** The sibling behind `node` within `parent`, or -1. For a name: the next name. */
  next(node: i32, parent: i32): i32 {
    const after = this.kinds[node] == <u8>Kind.Name ? this.afters[node + 1] : this.afters[node];
    return after >= this.afters[parent] ? -1 : after;
  }

  /** The value of member `name`, or -1. */
  member(object: i32, name: Bytes): i32 {
    if (this.kinds[object] != <u8>Kind.Object) return -1;
    for (let node = this.first(object); node >= 0; node = this.next(node, object)) {
      if (this.textEquals(node, name)) return node + 1;
    }
    return -1;
  }

  /** Whether the decoded text of a string or name is `bytes`. */
  textEquals(node: i32, bytes: Bytes): bool {
    const cursor = this.left;
    cursor.open(this.text, this.starts[node], this.ends[node]);
    for (let i = 0; i < bytes.length; i++) {
      if (cursor.next() != bytes.at(i)) return false;
    }
    return cursor.next() == -1;
  }

  /** Appends the decoded text of a string or name. */
  textInto(node: i32, writer: Writer): void {
    const cursor = this.left;
    cursor.open(this.text, this.starts[node], this.ends[node]);
    for (let byte = cursor.next(); byte >= 0; byte = cursor.next()) writer.appendByte(byte);
  }

  /** Bytes that the text of a string or name has at most. */
  textSize(node: i32): i32 {
    return this.ends[node] - this.starts[node];
  }

  /**
   * A number without fraction or exponent, from 0 to 2^53 - 1 (RFC 7493: what every reader agrees on); else -1. Also -1 for
   * anything that is no number.
   */
  integer(node: i32): i64 {
    if (this.kinds[node] != <u8>Kind.Number) return -1;
    const size = this.ends[node] - this.starts[node];
    if (size > 16) return -1;
    let value: i64 = 0;
    for (let i = 0; i < size; i++) {
      const digit = this.text.at(this.starts[node] + i) - Ascii.Zero;
      if (<u32>digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value <= 0x1f_ffff_ffff_ffff ? value : -1;
  }

  private value(depth: i32): bool {
    const byte = this.text.at(this.position);
    if (byte == Ascii.OpenBrace) return this.object(depth);
    if (byte == Ascii.OpenBracket) return this.array(depth);
    if (byte == Ascii.Quote) return this.string(Kind.String);
    if (byte == 0x74) return this.literal(TRUE, Kind.True);
    if (byte == 0x66) return this.literal(FALSE, Kind.False);
    if (byte == 0x6e) return this.literal(NULL, Kind.Null);
    return this.number();
  }

  private object(depth: i32): bool {
    if (depth >= MAX_DEPTH) return this.fail(JsonError.TooDeep);
    const node = this.push(Kind.Object);
    if (node < 0) return false;
    let names = 0;
    this.position += 1;
    this.skipSpace();
    if (this.text.at(this.position) == Ascii.CloseBrace) return this.close(node);
    while (true) {
      if (this.text.at(this.position) != Ascii.Quote) return this.fail(JsonError.Syntax);
      if (!this.string(Kind.Name)) return false;
      names += 1;
      this.skipSpace();
      if (this.text.at(this.position) != Ascii.Colon) return this.fail(JsonError.Syntax);
      this.position += 1;
      this.skipSpace();
      if (!this.value(depth + 1)) return false;
      this.skipSpace();
      const byte = this.text.at(this.position);
      if (byte == Ascii.CloseBrace) break;
      if (byte != Ascii.Comma) return this.fail(JsonError.Syntax);
      this.position += 1;
      this.skipSpace();
    }
    this.close(node);
    return this.namesDiffer(node, names);
  }

  private array(depth: i32): bool {
    if (depth >= MAX_DEPTH) return this.fail(JsonError.TooDeep);
    const node = this.push(Kind.Array);
    if (node < 0) return false;
    this.position += 1;
    this.skipSpace();
    if (this.text.at(this.position) == Ascii.CloseBracket) return this.close(node);
    while (true) {
      if (!this.value(depth + 1)) return false;
      this.skipSpace();
      const byte = this.text.at(this.position);
      if (byte == Ascii.CloseBracket) return this.close(node);
      if (byte != Ascii.Comma) return this.fail(JsonError.Syntax);
      this.position += 1;
      this.skipSpace();
    }
  }

  /** Behind the closing bracket, with everything since `node` in it. */
  private close(node: i32): bool {
    this.position += 1;
    this.ends[node] = this.position;
    this.afters[node] = this.count;
    return true;
  }

  private string(kind: Kind): bool {
    const start = this.position + 1;
    let i = start;
    while (true) {
      const byte = this.text.at(i);
      if (byte == Ascii.Quote) break;
      if (byte == Ascii.Backslash) {
        const size = escapeSize(this.text, i);
        if (size == 0) return this.failAt(JsonError.InvalidText, i);
        i += size;
      } else if (byte < 0x20) {
        return this.failAt(JsonError.Syntax, i); // also the end of the text
      } else if (byte < 0x80) {
        i += 1;
      } else {
        const size = utf8Size(this.text, i);
        if (size == 0) return this.failAt(JsonError.InvalidText, i);
        i += size;
      }
    }
    this.position = i + 1;
    return this.leaf(kind, start, i);
  }

  private number(): bool {
    const start = this.position;
    let i = start;
    if (this.text.at(i) == Ascii.Hyphen) i += 1;
    const first = this.text.at(i);
    if (!isDigit(first)) return this.failAt(JsonError.Syntax, i);
    i = first == Ascii.Zero ? i + 1 : this.digits(i);
    if (this.text.at(i) == Ascii.Dot) {
      const fraction = i + 1;
      i = this.digits(fraction);
      if (i == fraction) return this.failAt(JsonError.Syntax, i);
    }
    if ((this.text.at(i) | 0x20) == 0x65) {
      i += 1;
      const sign = this.text.at(i);
      if (sign == Ascii.Plus || sign == Ascii.Hyphen) i += 1;
      const exponent = i;
      i = this.digits(exponent);
      if (i == exponent) return this.failAt(JsonError.Syntax, i);
    }
    this.position = i;
    return this.leaf(Kind.Number, start, i);
  }

  /** Behind the digits that start at `i`. */
  private digits(i: i32): i32 {
    while (isDigit(this.text.at(i))) i++;
    return i;
  }

  private literal(word: Bytes, kind: Kind): bool {
    const start = this.position;
    for (let i = 0; i < word.length; i++) {
      if (this.text.at(start + i) != word.at(i)) return this.failAt(JsonError.Syntax, start + i);
    }
    this.position = start + word.length;
    return this.leaf(kind, start, this.position);
  }

  private leaf(kind: Kind, start: i32, end: i32): bool {
    const node = this.push(kind);
    if (node < 0) return false;
    this.starts[node] = start;
    this.ends[node] = end;
    this.afters[node] = node + 1;
    return true;
  }

  private push(kind: Kind): i32 {
    const node = this.count;
    if (node >= this.kinds.length && !this.grow()) return -1;
    this.kinds[node] = <u8>kind;
    this.starts[node] = this.position;
    this.count = node + 1;
    return node;
  }

  private grow(): bool {
    const nodes = max(this.kinds.length * 2, 64);
    if (nodes > this.limit) return this.fail(JsonError.TooLarge);
    this.kinds = resized<u8>(this.kinds, nodes);
    this.starts = resized<i32>(this.starts, nodes);
    this.ends = resized<i32>(this.ends, nodes);
    this.afters = resized<i32>(this.afters, nodes);
    collectLater();
    return true;
  }

  private namesDiffer(object: i32, names: i32): bool {
    return names <= FEW_NAMES ? this.fewNamesDiffer(object) : this.manyNamesDiffer(object, names);
  }

  private fewNamesDiffer(object: i32): bool {
    for (let a = this.first(object); a >= 0; a = this.next(a, object)) {
      for (let b = this.first(object); b != a; b = this.next(b, object)) {
        if (this.sameText(a, b)) return this.failAt(JsonError.DuplicateName, this.starts[a]);
      }
    }
    return true;
  }

  private manyNamesDiffer(object: i32, names: i32): bool {
    let size = 64;
    while (size < names * 2) size <<= 1;
    if (this.nameTable.length < size) {
      this.nameTable = new StaticArray<i32>(size);
      collectLater();
    }
    const table = this.nameTable;
    table.fill(-1, 0, size); // not all of it: objects after a large one must not pay for that
    for (let name = this.first(object); name >= 0; name = this.next(name, object)) {
      let slot = this.textHash(name) & (size - 1);
      while (table[slot] >= 0) {
        if (this.sameText(name, table[slot])) return this.failAt(JsonError.DuplicateName, this.starts[name]);
        slot = (slot + 1) & (size - 1);
      }
      table[slot] = name;
    }
    return true;
  }

  private sameText(a: i32, b: i32): bool {
    this.left.open(this.text, this.starts[a], this.ends[a]);
    this.right.open(this.text, this.starts[b], this.ends[b]);
    while (true) {
      const byte = this.left.next();
      if (byte != this.right.next()) return false;
      if (byte < 0) return true;
    }
  }

  private textHash(node: i32): i32 {
    let hash = FNV_OFFSET;
    this.left.open(this.text, this.starts[node], this.ends[node]);
    for (let byte = this.left.next(); byte >= 0; byte = this.left.next()) hash = (hash ^ byte) * FNV_PRIME;
    return <i32>(hash ^ (hash >> 15));
  }

  private skipSpace(): void {
    while (true) {
      const byte = this.text.at(this.position);
      if (byte != 0x20 && byte != 0x0a && byte != 0x0d && byte != 0x09) return;
      this.position += 1;
    }
  }

  private fail(error: JsonError): bool {
    return this.failAt(error, this.position);
  }

  private failAt(error: JsonError, at: i32): bool {
    this.error = error;
    this.errorAt = at;
    return false;
  }
}

const TRUE = Bytes.of("true");
const FALSE = Bytes.of("false");
const NULL = Bytes.of("null");

function resized<T>(old: StaticArray<T>, length: i32): StaticArray<T> {
  const fresh = new StaticArray<T>(length);
  for (let i = 0; i < old.length; i++) fresh[i] = old[i];
  return fresh;
}

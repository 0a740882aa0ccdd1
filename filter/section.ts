/**
 * Reading a configuration so that the first thing that is wrong is named with its path, such as
 * `routes[2].to[0].weight: must be an integer from 1 to 100`.
 *
 * The first problem is kept and reading goes on with stand-in values: the caller asks for `firstProblem` once, at the end.
 */
import { Ascii, isNameByte } from "./ascii";
import { Bytes, lowerCase, Writer } from "./host/bytes";
import { Json, Kind } from "./json";

const MAX_SHOWN_PATH: i32 = 200;
const MAX_HEADER_NAME: i32 = 128;
/** Everything that the filter builds of texts (paths, keys in shared data, headers) has room for this. */
const MAX_TEXT: i32 = 1024;

/** The first thing that is wrong, or empty. */
const problem = new Writer(512);

export function firstProblem(): Bytes {
  return problem;
}

export function clearProblem(): void {
  problem.reset();
}

/** Where a value stands. Spelled out only for what is reported: a large configuration has thousands of places. */
export class Path {
  private constructor(
    private parent: Path | null,
    private name: Bytes | null,
    private index: i32,
  ) {}

  static top(): Path {
    return new Path(null, null, -1);
  }

  member(name: Bytes): Path {
    return new Path(this, name, -1);
  }

  item(index: i32): Path {
    return new Path(this, null, index);
  }

  /** As in `routes[2].to`; empty for the top. */
  text(): Bytes {
    const parent = this.parent;
    const name = this.name;
    if (parent === null) return Bytes.empty();
    const before = parent.text();
    if (name === null) {
      const writer = new Writer(before.length + 12).append(before).appendByte(Ascii.OpenBracket);
      return writer.appendInteger(this.index).appendByte(Ascii.CloseBracket);
    }
    if (before.length == 0) return name;
    return new Writer(before.length + name.length + 1).append(before).appendByte(Ascii.Dot).append(name);
  }
}

export function report(where: Path, what: Bytes): void {
  if (problem.length > 0) return;
  const path = where.text();
  if (path.length == 0) problem.append(Bytes.of("configuration"));
  else appendPrintable(path);
  problem.append(Bytes.of(": ")).append(what);
}

/** One line of bounded length, whatever the names of the configuration are. */
function appendPrintable(path: Bytes): void {
  for (let i = 0; i < path.length; i++) {
    const byte = path.at(i);
    const isContinuation = (byte & 0xc0) == 0x80;
    if (i >= MAX_SHOWN_PATH && !isContinuation) {
      problem.append(Bytes.of("..."));
      return;
    }
    problem.appendByte(byte < 0x20 || byte == 0x7f ? Ascii.Question : byte);
  }
}

/** One JSON object, read field by field. `end` refuses the fields that nobody asked for. */
export class Section {
  /** The values that somebody has asked for. */
  private asked: i32[] = [];
  private isObject: bool;

  constructor(
    readonly json: Json,
    readonly node: i32,
    readonly path: Path,
  ) {
    this.isObject = node >= 0 && json.kind(node) == Kind.Object;
    if (node >= 0 && !this.isObject) report(path, Bytes.of("must be an object"));
  }

  has(name: Bytes): bool {
    return this.find(name) >= 0;
  }

  pathOf(name: Bytes): Path {
    return this.path.member(name);
  }

  /** Non-empty text; the field is required. */
  text(name: Bytes): Bytes {
    const node = this.find(name);
    if (node >= 0) return textOf(this.json, node, this.pathOf(name));
    report(this.pathOf(name), Bytes.of("is required"));
    return Bytes.empty();
  }

  /** Texts of which there must be one at least, and none empty; the field is required. */
  texts(name: Bytes): Bytes[] {
    const list = this.list(name, true);
    const texts: Bytes[] = [];
    while (list.next()) texts.push(list.text());
    if (this.has(name) && texts.length == 0) report(this.pathOf(name), Bytes.of("must not be empty"));
    return texts;
  }

  /** A header name (RFC 9110, section 5.1) in lower case; the field is required. */
  headerName(name: Bytes): Bytes {
    const text = this.text(name);
    const writer = new Writer(text.length);
    for (let i = 0; i < text.length; i++) {
      const byte = lowerCase(text.at(i));
      const valid = isNameByte(byte) || byte == Ascii.Underscore || byte == Ascii.Dot;
      if (!valid || text.length > MAX_HEADER_NAME) report(this.pathOf(name), Bytes.of("must be the name of a header"));
      writer.appendByte(byte);
    }
    return writer;
  }

  /** One of `words`, which a comma and a space separate; the first is the default. */
  choice(name: Bytes, words: Bytes): i32 {
    const node = this.find(name);
    if (node < 0) return 0;
    const chosen = this.json.kind(node) == Kind.String ? indexOfWord(this.json, node, words) : -1;
    if (chosen >= 0) return chosen;
    report(this.pathOf(name), new Writer(128).append(Bytes.of("must be one of ")).append(words));
    return 0;
  }

  flag(name: Bytes, otherwise: bool): bool {
    const node = this.find(name);
    if (node < 0) return otherwise;
    const kind = this.json.kind(node);
    if (kind != Kind.True && kind != Kind.False) report(this.pathOf(name), Bytes.of("must be true or false"));
    return kind == Kind.True;
  }

  integer(name: Bytes, least: i32, most: i32, otherwise: i32): i32 {
    const node = this.find(name);
    return node < 0 ? otherwise : integerOf(this.json, node, this.pathOf(name), least, most);
  }

  /** An array; where it is missing or none, one without items. */
  list(name: Bytes, required: bool): List {
    const node = this.find(name);
    if (node < 0 && required) report(this.pathOf(name), Bytes.of("is required"));
    return new List(this.json, node, this.pathOf(name));
  }

  /** An object; where it is missing, one without fields. */
  section(name: Bytes, required: bool): Section {
    const node = this.find(name);
    if (node < 0 && required) report(this.pathOf(name), Bytes.of("is required"));
    return new Section(this.json, node, this.pathOf(name));
  }

  /** First member name of the object, for objects whose names are the user's; -1 if there is none. */
  firstName(): i32 {
    return this.isObject ? this.json.first(this.node) : -1;
  }

  nextName(name: i32): i32 {
    return this.json.next(name, this.node);
  }

  end(): void {
    for (let node = this.firstName(); node >= 0; node = this.nextName(node)) {
      if (!this.asked.includes(node + 1))
        report(this.pathOf(decode(this.json, node)), Bytes.of("is not a known field"));
    }
  }

  private find(name: Bytes): i32 {
    if (!this.isObject) return -1;
    const node = this.json.member(this.node, name);
    if (node >= 0) this.asked.push(node);
    return node;
  }
}

/** One JSON array, walked with `next`. */
export class List {
  /** The current item, and where it stands. */
  node: i32 = -1;
  path: Path;
  private index: i32 = -1;
  private isArray: bool;

  constructor(
    private json: Json,
    private array: i32,
    private arrayPath: Path,
  ) {
    this.path = arrayPath;
    this.isArray = array >= 0 && json.kind(array) == Kind.Array;
    if (array >= 0 && !this.isArray) report(arrayPath, Bytes.of("must be an array"));
  }

  next(): bool {
    if (!this.isArray) return false;
    this.node = this.index < 0 ? this.json.first(this.array) : this.json.next(this.node, this.array);
    if (this.node < 0) return false;
    this.index += 1;
    this.path = this.arrayPath.item(this.index);
    return true;
  }

  section(): Section {
    return new Section(this.json, this.node, this.path);
  }

  text(): Bytes {
    return textOf(this.json, this.node, this.path);
  }
}

/** The decoded text of a string that must not be empty. */
function textOf(json: Json, node: i32, path: Path): Bytes {
  if (json.kind(node) != Kind.String) report(path, Bytes.of("must be a string"));
  else if (json.textSize(node) == 0) report(path, Bytes.of("must not be empty"));
  else if (json.textSize(node) > MAX_TEXT) report(path, Bytes.of("must have at most 1024 bytes"));
  else return decode(json, node);
  return Bytes.empty();
}

/** Which of `words` the string is, or -1. */
function indexOfWord(json: Json, node: i32, words: Bytes): i32 {
  const word = Bytes.empty();
  let start = 0;
  for (let index = 0; start < words.length; index++) {
    const comma = words.indexOf(Ascii.Comma, start);
    const end = comma < 0 ? words.length : comma;
    word.point(words, start, end - start);
    if (json.textEquals(node, word)) return index;
    start = end + 2;
  }
  return -1;
}

function integerOf(json: Json, node: i32, path: Path, least: i32, most: i32): i32 {
  const value = json.integer(node);
  if (value >= least && value <= most) return <i32>value;
  const range = new Writer(64).append(Bytes.of("must be an integer from ")).appendInteger(least);
  report(path, range.append(Bytes.of(" to ")).appendInteger(most));
  return least;
}

/** The decoded text of a string or name. */
export function decode(json: Json, node: i32): Bytes {
  const writer = new Writer(json.textSize(node));
  json.textInto(node, writer);
  return writer;
}

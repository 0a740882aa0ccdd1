/**
 * Reading a configuration so that the first thing that is wrong is named with its path, such as
 * `routes[2].to[0].weight: must be an integer from 1 to 100`.
 *
 * The first problem is kept and reading goes on with stand-in values: the caller asks for `firstProblem` once, at the end.
 */
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";

const MAX_SHOWN_PATH: i32 = 200;

/** The first thing that is wrong, or empty. */
let problem: string = "";

export function firstProblem(): string {
  return problem;
}

export function clearProblem(): void {
  problem = "";
}

export function report(path: string, what: string): void {
  if (problem.length == 0) problem = (path.length == 0 ? "configuration" : printable(path)) + ": " + what;
}

/** One line of bounded length, whatever the names of the configuration are. */
function printable(path: string): string {
  let text = "";
  for (let i = 0; i < min(path.length, MAX_SHOWN_PATH); i++) {
    const unit = path.charCodeAt(i);
    text += unit < 0x20 || unit == 0x7f ? "?" : path.charAt(i);
  }
  return path.length > MAX_SHOWN_PATH ? text + "..." : text;
}

/** One JSON object, read field by field. `end` refuses the fields that nobody asked for. */
export class Section {
  private asked: string[] = [];
  private isObject: bool;

  constructor(
    readonly json: Json,
    readonly node: i32,
    readonly path: string,
  ) {
    this.isObject = node >= 0 && json.kind(node) == Kind.Object;
    if (node >= 0 && !this.isObject) report(path, "must be an object");
  }

  has(name: string): bool {
    return this.find(name) >= 0;
  }

  pathOf(name: string): string {
    return this.path.length == 0 ? name : this.path + "." + name;
  }

  /** Non-empty text; the field is required. */
  text(name: string): Bytes {
    const node = this.find(name);
    if (node >= 0) return textOf(this.json, node, this.pathOf(name));
    report(this.pathOf(name), "is required");
    return Bytes.empty();
  }

  /** One of `words`; the first is the default. */
  choice(name: string, words: string[]): i32 {
    const node = this.find(name);
    if (node < 0) return 0;
    if (this.json.kind(node) == Kind.String) {
      for (let i = 0; i < words.length; i++) {
        if (this.json.textEquals(node, Bytes.of(words[i]))) return i;
      }
    }
    report(this.pathOf(name), "must be one of " + words.join(", "));
    return 0;
  }

  flag(name: string, otherwise: bool): bool {
    const node = this.find(name);
    if (node < 0) return otherwise;
    const kind = this.json.kind(node);
    if (kind != Kind.True && kind != Kind.False) report(this.pathOf(name), "must be true or false");
    return kind == Kind.True;
  }

  integer(name: string, least: i32, most: i32, otherwise: i32): i32 {
    const node = this.find(name);
    return node < 0 ? otherwise : integerOf(this.json, node, this.pathOf(name), least, most);
  }

  /** An array; where it is missing or none, one without items. */
  list(name: string, required: bool): List {
    const node = this.find(name);
    if (node < 0 && required) report(this.pathOf(name), "is required");
    return new List(this.json, node, this.pathOf(name));
  }

  /** An object; where it is missing, one without fields. */
  section(name: string, required: bool): Section {
    const node = this.find(name);
    if (node < 0 && required) report(this.pathOf(name), "is required");
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
      const name = decode(this.json, node).toString();
      if (!this.asked.includes(name)) report(this.pathOf(name), "is not a known field");
    }
  }

  private find(name: string): i32 {
    if (!this.asked.includes(name)) this.asked.push(name);
    return this.isObject ? this.json.member(this.node, Bytes.of(name)) : -1;
  }
}

/** One JSON array, walked with `next`. */
export class List {
  /** The current item, and where it stands. */
  node: i32 = -1;
  path: string = "";
  private index: i32 = -1;
  private isArray: bool;

  constructor(
    private json: Json,
    private array: i32,
    private arrayPath: string,
  ) {
    this.isArray = array >= 0 && json.kind(array) == Kind.Array;
    if (array >= 0 && !this.isArray) report(arrayPath, "must be an array");
  }

  next(): bool {
    if (!this.isArray) return false;
    this.node = this.index < 0 ? this.json.first(this.array) : this.json.next(this.node, this.array);
    if (this.node < 0) return false;
    this.index += 1;
    this.path = this.arrayPath + "[" + this.index.toString() + "]";
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
function textOf(json: Json, node: i32, path: string): Bytes {
  if (json.kind(node) != Kind.String) report(path, "must be a string");
  else if (json.textSize(node) == 0) report(path, "must not be empty");
  else return decode(json, node);
  return Bytes.empty();
}

function integerOf(json: Json, node: i32, path: string, least: i32, most: i32): i32 {
  const value = json.integer(node);
  if (value >= least && value <= most) return <i32>value;
  report(path, "must be an integer from " + least.toString() + " to " + most.toString());
  return least;
}

/** The decoded text of a string or name. */
export function decode(json: Json, node: i32): Bytes {
  const writer = new Writer(json.textSize(node));
  json.textInto(node, writer);
  return writer;
}

import { type Alias, isAlias, isMap, isNode, isScalar, isSeq, type Node, type Pair } from "yaml";
import { ConfigError, type Problem } from "./config-error.js";
import { isSecret, type Path, show } from "./finding.js";
import { parseYaml, type Place, type YamlDocument } from "./yaml-document.js";

/** YAML text as plain data that remembers where each part of it stands. */
export interface YamlSource {
  /** Maps as plain objects, lists as arrays, scalars by the core schema of YAML 1.2; null for an empty text. */
  readonly value: unknown;
  /**
   * Where the key or the value at `path` stands; for an entry that does not exist, the place of the deepest
   * map or list above it that does.
   */
  placeOf(path: Path, part: "key" | "value"): Place;
}

/** Checks of the values visit an alias as often as it is written, and aliases of aliases multiply. */
const MAX_ALIASES = 100;

/** Throws ConfigError if the text is not one YAML 1.2 document whose keys are text and occur once. */
export function readYaml(text: string, file: string): YamlSource {
  const yaml = parseYaml(text, file);
  const reader = new NodeReader(yaml);
  const root = yaml.document.contents;
  const value = reader.read(root, []);
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return {
    value,
    placeOf: (path, part) => yaml.placeAt(offsetOf(root, reader.targets, path, part)),
  };
}

/** The node that an alias means, and its value once it has been read. */
interface Anchor {
  readonly node: Node;
  value?: { readonly of: unknown };
}

/** Turns nodes into values. An alias shares the value of its anchor: nothing is expanded. */
class NodeReader {
  readonly problems: Problem[] = [];
  /** Where each alias leads. */
  readonly targets = new Map<Node, Node>();
  private readonly anchors = new Map<string, Anchor>();
  private aliases = 0;

  constructor(private readonly yaml: YamlDocument) {}

  read(node: unknown, path: Path): unknown {
    if (!isNode(node)) return null;
    if (isAlias(node)) return this.readAlias(node, path);
    const anchor: Anchor = { node };
    if (node.anchor !== undefined) this.anchors.set(node.anchor, anchor);
    const value = this.readContent(node, path);
    anchor.value = { of: value };
    return value;
  }

  private readContent(node: Node, path: Path): unknown {
    if (isMap(node)) return this.readMap(node.items, path);
    if (isSeq(node)) return node.items.map((item, index) => this.read(item, [...path, index]));
    return isScalar(node) ? node.value : null;
  }

  private readMap(pairs: readonly Pair[], path: Path): unknown {
    const entries = new Map<string, { key: Node; value: unknown }>();
    for (const { key, value } of pairs) {
      // `__proto__` is no name of anything, and objects have one of their own.
      if (!isScalar(key) || typeof key.value !== "string" || key.value === "__proto__") {
        this.report(
          isNode(key) ? key : value,
          path,
          "a key here is not a name",
          "write a name, in quotes if it is a number",
        );
        continue;
      }
      const earlier = entries.get(key.value);
      if (earlier === undefined) {
        entries.set(key.value, { key, value: this.read(value, [...path, key.value]) });
      } else {
        const { line } = this.yaml.placeAt(offset(earlier.key));
        this.report(key, [...path, key.value], `${show(key.value)} is already in line ${line}`, "keep one of the two");
      }
    }
    return Object.fromEntries([...entries].map(([name, { value }]) => [name, value]));
  }

  private readAlias(alias: Alias, path: Path): unknown {
    const anchor = this.anchors.get(alias.source);
    this.aliases++;
    if (this.aliases > MAX_ALIASES) {
      if (this.aliases === MAX_ALIASES + 1)
        this.report(alias, path, `more than ${MAX_ALIASES} aliases`, "write the values out");
    } else if (anchor === undefined) {
      // A key may begin with `*`, and lack its quotes.
      const mayBeKey = isSecret(path) || path.at(-1) === "key";
      const name = mayBeKey ? "NAME" : alias.source;
      const quotes = mayBeKey ? " (in quotes if it begins with *)" : "";
      const fix = `write the value here${quotes}, or &${name} before the value that is meant, above this line`;
      this.report(alias, path, `no anchor &${name} stands before this alias`, fix);
    } else if (anchor.value === undefined) {
      this.report(alias, path, `the alias *${alias.source} is part of what it stands for`, "write the value out");
    } else {
      this.targets.set(alias, anchor.node);
      return anchor.value.of;
    }
    return null;
  }

  private report(node: unknown, path: Path, message: string, fix: string): void {
    this.problems.push(this.yaml.problemAt(isNode(node) ? offset(node) : 0, path, message, fix));
  }
}

function offsetOf(root: Node | null, targets: ReadonlyMap<Node, Node>, path: Path, part: "key" | "value"): number {
  let node: Node | null = root;
  let found = offset(root);
  for (const [index, step] of path.entries()) {
    const container: Node | null = node === null ? null : (targets.get(node) ?? node);
    const entry = entryOf(container, step);
    if (entry === undefined) return found;
    const last = index === path.length - 1;
    found = offset(last && part === "key" ? (entry.key ?? entry.value) : (entry.value ?? entry.key));
    node = entry.value;
  }
  return found;
}

function entryOf(container: Node | null, step: string | number): { key: Node | null; value: Node | null } | undefined {
  if (isSeq(container) && typeof step === "number") {
    const item = container.items[step];
    return isNode(item) ? { key: null, value: item } : undefined;
  }
  if (!isMap(container)) return undefined;
  const pair = container.items.find(({ key }) => isScalar(key) && key.value === step);
  if (pair === undefined) return undefined;
  return { key: isNode(pair.key) ? pair.key : null, value: isNode(pair.value) ? pair.value : null };
}

function offset(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

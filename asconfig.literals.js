/**
 * A transform of asc (asconfig.json, `transform`): lays the text of each `Bytes.of("…")` down in static memory as UTF-8.
 *
 * By itself the compiler keeps a string literal as UTF-16 behind a header of 20 bytes, and `Bytes.of` encodes it when it runs.
 * Instead, the texts of all calls become the one array LITERALS of bytes.ts, LITERAL_PLACES says where each is, and the calls give windows:
 *
 *     Bytes.of("exp")  ──▶  Bytes.literal(17)
 *
 * The program does the same without it, in a module that is a fifth larger, and makes a new window at each call.
 */
import {
  BinaryExpression,
  CallExpression,
  IdentifierExpression,
  Node,
  Parser,
  PropertyAccessExpression,
  Source,
  SourceKind,
  StringLiteralExpression,
  Token,
  Tokenizer,
  VariableDeclaration,
} from "assemblyscript";

export default class Literals {
  afterParse(parser) {
    const calls = [];
    const arrays = { LITERALS: [], LITERAL_PLACES: [], LITERAL_WINDOWS: [] };
    for (const source of parser.sources.filter(({ isLibrary }) => !isLibrary)) {
      visit(source, (node) => {
        if (isBytesOf(node)) calls.push({ call: node, text: Buffer.from(textOf(node.args[0]) ?? "") });
        if (node instanceof VariableDeclaration && node.name.text in arrays) arrays[node.name.text].push(node);
      });
    }
    if (arrays.LITERALS.length !== 1) return; // nothing of the binding is compiled
    const { literals, places } = layOut(calls);
    arrays.LITERALS[0].initializer = parse(`[${literals.join()}]`);
    arrays.LITERAL_PLACES[0].initializer = parse(`[${places.join()}]`);
    arrays.LITERAL_WINDOWS[0].initializer = parse(`[${places.map(() => "null").join()}]`);
  }
}

/** Turns the calls into windows on the literals that it returns. A text that occurs in a longer one is not laid down again. */
function layOut(calls) {
  let literals = Buffer.alloc(0);
  const places = [];
  for (const { call, text } of calls.sort((a, b) => b.text.length - a.text.length)) {
    if (text.length > 1023) throw new Error(`Bytes.of("${text}"): a literal has at most 1023 bytes`);
    if (!literals.includes(text)) literals = Buffer.concat([literals, text]);
    call.expression.property.text = "literal";
    call.args = [parse(String(places.length))];
    places.push(literals.indexOf(text) * 1024 + text.length);
  }
  return { literals, places };
}

/** Whether `node` is `Bytes.of("…")`, or with several literals joined by `+`. */
function isBytesOf(node) {
  if (!(node instanceof CallExpression) || !(node.expression instanceof PropertyAccessExpression)) return false;
  const { expression, property } = node.expression;
  if (!(expression instanceof IdentifierExpression) || expression.text !== "Bytes" || property.text !== "of")
    return false;
  return node.args.length === 1 && textOf(node.args[0]) !== null;
}

/** The text of a literal, or of several joined by `+`; null if it is only known when the program runs. */
function textOf(node) {
  if (node instanceof StringLiteralExpression) return node.value;
  if (!(node instanceof BinaryExpression) || node.operator !== Token.Plus) return null;
  const left = textOf(node.left);
  const right = textOf(node.right);
  return left === null || right === null ? null : left + right;
}

function parse(expression) {
  return new Parser().parseExpression(new Tokenizer(new Source(SourceKind.User, "asconfig.literals.ts", expression)));
}

/** Calls `look` with every node at and below `node`. */
function visit(node, look) {
  if (node instanceof Node) look(node);
  for (const [name, child] of Object.entries(node)) {
    if (Array.isArray(child) || (child instanceof Node && name !== "source")) visit(child, look);
  }
}

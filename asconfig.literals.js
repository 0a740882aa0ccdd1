/**
 * A transform of asc (asconfig.json, `transform`): lays the text of each `Bytes.of("…")` down in static memory as UTF-8.
 *
 * By itself the compiler keeps a string literal as UTF-16 behind a header of 20 bytes, and `Bytes.of` encodes it when it runs.
 * Instead, the texts of all calls become the one array LITERALS of bytes.ts, and the calls windows on it:
 *
 *     Bytes.of("exp")  ──▶  Bytes.literal(412, 3)
 *
 * The program does the same without it, in a module that is a fifth larger.
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
    const arrays = [];
    for (const source of parser.sources.filter(({ isLibrary }) => !isLibrary)) {
      visit(source, (node) => {
        if (isBytesOf(node)) calls.push({ call: node, text: Buffer.from(textOf(node.args[0]) ?? "") });
        if (node instanceof VariableDeclaration && node.name.text === "LITERALS") arrays.push(node);
      });
    }
    if (arrays.length !== 1) return; // nothing of the binding is compiled
    arrays[0].initializer = parse(`[${layOut(calls).join()}]`);
  }
}

/** Turns the calls into windows on what it returns. A text that occurs in a longer one is not laid down again. */
function layOut(calls) {
  let literals = Buffer.alloc(0);
  for (const { call, text } of calls.sort((a, b) => b.text.length - a.text.length)) {
    if (!literals.includes(text)) literals = Buffer.concat([literals, text]);
    call.expression.property.text = "literal";
    call.args = [parse(String(literals.indexOf(text))), parse(String(text.length))];
  }
  return literals;
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

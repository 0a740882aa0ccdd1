import { Composer, type CST, type Document, Lexer, LineCounter, Parser, type YAMLError } from "yaml";
import { ConfigError, type Problem } from "./config-error.js";
import { type Path, renderPath } from "./finding.js";

/** One YAML 1.2 document whose grammar holds, and the way from its offsets to lines and columns. */
export interface YamlDocument {
  readonly document: Document.Parsed;
  /** `offset` in UTF-16 units from the start of the text; line and column from 1. */
  placeAt(offset: number): Place;
  problemAt(offset: number, path: Path, message: string, fix: string): Problem;
}

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** hopgate.yaml is at most 8 deep. The composer recurses, so this is checked before it runs. */
const MAX_DEPTH = 32;

/** Errors of grammar follow from one another; the first few say it all. */
const MAX_SYNTAX_PROBLEMS = 5;

/** Throws ConfigError if `text` is not exactly one document, or none at all: an empty text is a document without content. */
export function parseYaml(text: string, file: string): YamlDocument {
  // Not filled by the parser: it tells of line ends out of order where a flow map ends in the middle of a line.
  const lines = new LineCounter();
  for (let start = 0; start !== 0 || lines.lineStarts.length === 0; start = text.indexOf("\n", start) + 1) {
    lines.addNewLine(start);
  }
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problemAt: YamlDocument["problemAt"] = (offset, path, message, fix) => {
    return { file, ...placeAt(offset), path: renderPath(path), message, fix };
  };

  const parser = new Parser();
  const tokens: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    // The document itself is on the stack.
    if (parser.stack.length > MAX_DEPTH + 1) {
      const message = `maps and lists are nested more than ${MAX_DEPTH} deep`;
      throw new ConfigError([
        problemAt(parser.offset - lexeme.length, [], message, "write it as the example does, 8 deep at most"),
      ]);
    }
  }
  tokens.push(...parser.end());

  // The schema is named so that a %YAML 1.1 line cannot turn `no` and `on` into booleans. Tags become warnings, refused below.
  const composer = new Composer({ schema: "core", resolveKnownTags: false, uniqueKeys: false, prettyErrors: false });
  const [document, second] = composer.compose(tokens, true, text.length);
  if (document === undefined) throw new Error("the YAML composer gave no document although it was told to");
  const problems = [...document.errors, ...document.warnings]
    .slice(0, MAX_SYNTAX_PROBLEMS)
    .map((error) => problemAt(error.pos[0], [], syntaxMessage(error), syntaxFix(error)));
  if (second !== undefined) {
    const fix = "keep one of the two in a file, without a line ---";
    problems.push(problemAt(second.range[0], [], "a second YAML document starts here", fix));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { document, placeAt, problemAt };
}

/** Without the text that the parser quotes behind a colon: it may be the key. */
function syntaxMessage(error: YAMLError): string {
  const message = error.message.replace(/(?<=\w): .*$/s, "");
  return `this is not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

function syntaxFix(error: YAMLError): string {
  switch (error.code) {
    case "TAB_AS_INDENT":
      return "indent with spaces";
    case "TAG_RESOLVE_FAILED":
      return "remove the tag (the word that starts with !)";
    case "BAD_DIRECTIVE":
      return "remove the line that starts with %";
    case "BAD_SCALAR_START":
      return "put the value in quotes";
    case "BLOCK_AS_IMPLICIT_KEY":
    case "MULTILINE_IMPLICIT_KEY":
      return 'indent the fields of a map alike, and quote a value that has ": " in it';
    case "MISSING_CHAR":
      return "add what is missing, such as a closing quote, a comma or a colon";
    default:
      return "check the indentation, the quotes and the brackets here and in the line above";
  }
}

import { colours, type Paint } from "../output/colours.js";
import { type Io, unicode } from "../output/io.js";
import { printable } from "../output/text.js";
import type { Result } from "./check.js";
import { GROUPS } from "./checks.js";

type Word = "good" | "error" | "warning" | "unsaid";

const MARKS: Readonly<Record<Word, readonly [unicode: string, ascii: string]>> = {
  good: ["✓", "+"],
  warning: ["!", "!"],
  error: ["✗", "x"],
  unsaid: ["–", "-"],
};
const COLOURS = { good: "green", warning: "yellow", error: "red", unsaid: "dim" } as const;

/** Results as lines, by group: a mark, the code and the title; below, what is wrong, why that matters, and the fix. */
export function drawResults(results: readonly Result[], io: Io): string {
  const draw = drawing(io);
  return GROUPS.flatMap(({ prefix, title }) => {
    const own = results.filter(({ code }) => code.startsWith(prefix)).sort((a, b) => (a.code < b.code ? -1 : 1));
    if (own.length === 0) return [];
    const [first] = own;
    const isWhole = own.every(({ state, skipped }) => state === "skipped" && skipped === first?.skipped);
    if (isWhole) return [draw.head("unsaid", `${prefix}xx`, `${title}: skipped, ${first?.skipped ?? ""}`)];
    return [draw.paint("bold", title), ...own.flatMap((result) => draw.result(result))];
  }).join("\n");
}

/** Only what failed, as `deploy` shows it. */
export function drawFindings(results: readonly Result[], io: Io): string {
  const draw = drawing({ ...io, stdout: io.stderr });
  return results
    .filter(({ state }) => state === "failed")
    .flatMap((result) => draw.result(result))
    .join("\n");
}

/** `2 errors, 1 warning, 3 not known`; empty: there is nothing of the kind. */
export function countText(results: readonly Result[]): string {
  const { errors, warnings, unknown } = countsOf(results);
  const parts = [
    plural(errors, "error"),
    plural(warnings, "warning"),
    unknown === 0 ? "" : `${String(unknown)} not known`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** How many checks failed, and of how many it is not known. */
export function countsOf(results: readonly Result[]): {
  readonly errors: number;
  readonly warnings: number;
  readonly unknown: number;
} {
  const failed = results.filter(({ state }) => state === "failed");
  return {
    errors: failed.filter(({ level }) => level === "error").length,
    warnings: failed.filter(({ level }) => level === "warning").length,
    unknown: results.filter(({ state }) => state === "unknown").length,
  };
}

function plural(count: number, word: string): string {
  return count === 0 ? "" : `${String(count)} ${word}${count === 1 ? "" : "s"}`;
}

interface Drawing {
  readonly paint: Paint;
  readonly head: (word: Word, code: string, text: string) => string;
  readonly result: (result: Result) => readonly string[];
}

function drawing(io: Io): Drawing {
  const paint = colours(io);
  const isUnicode = unicode(io);
  const head = (word: Word, code: string, text: string): string => {
    const [fine, plain] = MARKS[word];
    return `  ${paint(COLOURS[word], isUnicode ? fine : plain)} ${code} ${text}`;
  };
  return {
    paint,
    head,
    result: (result) => [head(wordOf(result), result.code, result.title), ...below(result, paint)],
  };
}

function wordOf({ state, level }: Result): Word {
  if (state === "passed") return "good";
  return state === "failed" ? level : "unsaid";
}

function below({ findings, unknowns, why, skipped }: Result, paint: Paint): readonly string[] {
  const indent = "           ";
  return [
    ...findings.flatMap(({ about, reason, fix }, index) => [
      `${indent}${printable(`${about}: ${reason}`)}`,
      // What mends several is said once.
      ...(findings[index + 1]?.fix === fix
        ? []
        : `Fix: ${fix}`.split("\n").map((line) => `${indent}${printable(line)}`)),
    ]),
    ...(findings.length > 0 ? [paint("dim", `${indent}${why}`)] : []),
    ...unknowns.map(({ about, unknown }) => paint("dim", `${indent}${printable(`${about}: not known: ${unknown}`)}`)),
    ...(skipped === undefined ? [] : [paint("dim", `${indent}skipped: ${skipped}`)]),
  ];
}

import { ConfigError } from "../../../shim/config/config-error.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { EXAMPLE } from "./example.js";

/** What is wrong; part of the example; the same part as a user got it wrong, with `§` before the problem; what is said. */
export type Row = readonly [what: string, from: string, to: string, said: string];

/** The example with one of its parts written otherwise. */
export function edited(from: string, to: string): string {
  if (EXAMPLE.split(from).length !== 2) throw new Error(`not exactly once in the example: ${from}`);
  return EXAMPLE.replace(from, () => to);
}

/** What ConfigError says about the text; fails if it is accepted, or refused with anything else. */
export function refusal(text: string): ConfigError {
  try {
    parseMesh(text, "hopgate.yaml");
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`accepted:\n${text}`);
}

/** The text without its mark `§`, and the `hopgate.yaml:LINE:COLUMN` at which the mark stood. */
export function unmark(marked: string): { text: string; place: string } {
  const before = marked.slice(0, marked.indexOf("§")).split("\n");
  return {
    text: marked.replace("§", ""),
    place: `hopgate.yaml:${before.length}:${(before.at(-1) ?? "").length + 1}`,
  };
}

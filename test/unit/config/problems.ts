import { ConfigError } from "../../../shim/config/config-error.js";
import { parseMesh } from "../../../shim/config/parse.js";

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

/** Text for a terminal: what came from elsewhere is made harmless, and everything is cut to its column. */

import { stripVTControlCharacters } from "node:util";

import { withoutCredentials } from "../url-text.js";

/**
 * The text with everything but printable ASCII replaced by `?`. Header values come from the other side, and a
 * control character in one could steer the terminal; what is left is also one column per character.
 */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, "?");
}

/** The text, of lines, without what could steer a terminal or turn its direction; other letters than English ones stay. */
export function harmless(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/gu, "?");
}

/** A URL as it may be shown: without userinfo, query and fragment, where secrets travel. */
export function shownUrl(url: string): string {
  return printable(withoutCredentials(url));
}

/** Number of columns that the text takes, its colours not counted. */
export function columns(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** The text cut to `width` columns, with `ellipsis` in place of what was cut. Takes text without colours. */
export function fit(text: string, width: number, ellipsis: string): string {
  if (text.length <= width) return text;
  return (text.slice(0, Math.max(0, width - ellipsis.length)) + ellipsis).slice(0, Math.max(0, width));
}

/** The text in lines of at most `width` columns, broken at spaces, inside a word only where it is longer than a line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    let rest = line === "" ? word : `${line} ${word}`;
    if (rest.length > width && line !== "") {
      lines.push(line);
      rest = word;
    }
    for (; rest.length > width; rest = rest.slice(width)) lines.push(rest.slice(0, width));
    line = rest;
  }
  return [...lines, line];
}

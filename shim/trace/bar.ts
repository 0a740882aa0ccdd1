/** Bars of a waterfall in character cells: eighths of a cell where the terminal has the block characters, else ASCII. */

import type { SegmentKind } from "./path.js";

/** What the characters of a drawing are. */
export interface Glyphs {
  /** Index n is n eighths of a cell, from the left. Undefined: bars come in whole cells. */
  readonly eighths: readonly string[] | undefined;
  /** Index n is the cell in which a bar begins n eighths from the left; the nearest there is, for Unicode has few of these. */
  readonly starts: readonly string[];
  readonly full: string;
  readonly wait: string;
  readonly stream: string;
  /** Thin marks at the left and at the right of a cell, for what is too short for a bar. */
  readonly thin: readonly [left: string, right: string];
  readonly marker: string;
  readonly pointer: string;
  readonly arrow: string;
  readonly dot: string;
  readonly ellipsis: string;
}

export const UNICODE: Glyphs = {
  eighths: [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"],
  starts: ["█", "█", "█", "▐", "▐", "▐", "▐", " "],
  full: "█",
  wait: "▒",
  stream: "░",
  thin: ["▏", "▕"],
  marker: "▲",
  pointer: "◀",
  arrow: "→",
  dot: "·",
  ellipsis: "…",
};

export const ASCII: Glyphs = {
  eighths: undefined,
  starts: [],
  full: "#",
  wait: "~",
  stream: "-",
  thin: ["|", "|"],
  marker: "^",
  pointer: "<",
  arrow: ">",
  dot: "-",
  ellipsis: "~",
};

/**
 * A bar from `start` to `end` (fractions of the scale, 0 to 1) in exactly `cells` characters. Whatever takes less than a
 * quarter of a cell is a thin mark: nothing that happened is invisible, and no mark is mistaken for a measure.
 */
export function bar(kind: SegmentKind, start: number, end: number, cells: number, glyphs: Glyphs): string {
  const from = Math.min(Math.round(start * cells * 8), cells * 8 - 1);
  const to = Math.min(Math.round(end * cells * 8), cells * 8);
  const drawn = (): string => {
    if (to - from < 2) return thin(from, glyphs);
    if (kind === "wait" || kind === "stream") return shaded(from, to, cells, glyphs[kind]);
    return glyphs.eighths === undefined
      ? shaded(from, to, cells, glyphs.full)
      : solid(from, to, glyphs, glyphs.eighths);
  };
  return drawn().padEnd(cells).slice(0, cells);
}

function thin(from: number, glyphs: Glyphs): string {
  const [left, right] = glyphs.thin;
  return " ".repeat(Math.floor(from / 8)) + (from % 8 < 4 ? left : right);
}

/** Whole cells: those that are at least half covered, and always one. */
function shaded(from: number, to: number, cells: number, glyph: string): string {
  const start = Math.min(Math.round(from / 8), cells - 1);
  return " ".repeat(start) + glyph.repeat(Math.max(1, Math.round(to / 8) - start));
}

function solid(from: number, to: number, glyphs: Glyphs, eighths: readonly string[]): string {
  const before = " ".repeat(Math.floor(from / 8));
  const offset = from % 8;
  const length = to - from;
  // Block characters grow from the left only: a bar inside one cell gives up its place in the cell, not its length.
  if (offset + length <= 8) return before + (length === 8 ? glyphs.full : (eighths[length] ?? ""));
  const whole = Math.floor((offset + length) / 8) - 1;
  const last = eighths[(offset + length) % 8] ?? "";
  return before + (glyphs.starts[offset] ?? "") + glyphs.full.repeat(whole) + last;
}

/** A single marker at a fraction of the scale, in exactly `cells` characters. */
export function mark(at: number, cells: number, glyphs: Glyphs): string {
  const cell = Math.min(Math.round(at * cells), cells - 1);
  return (" ".repeat(cell) + glyphs.marker).padEnd(cells);
}

/**
 * Draws a trace for the terminal, as the network panel of a browser would: a line for each segment with its name, where it
 * lies in the time of the request, and how long it took; then the marks of the first token and the end.
 */

import { type Colour, colours, type Paint } from "../output/colours.js";
import { type Io, type Output, unicode } from "../output/io.js";
import { milliseconds } from "../output/milliseconds.js";
import { fit, printable, shownUrl, wrap } from "../output/text.js";
import { ASCII, bar, type Glyphs, mark, UNICODE } from "./bar.js";
import type { Segment, SegmentKind, Trace } from "./path.js";
import type { ServerTiming } from "./server-timing.js";

/** What was asked and what came. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  /** The backend that was to answer, where it is known. */
  readonly backend?: string | undefined;
}

export interface Style {
  /** Columns to fill; what is drawn is at least 60 and at most 120 wide. */
  readonly width: number;
  readonly unicode: boolean;
  readonly paint: Paint;
}

/** The style that suits an output. */
export function styleFor(io: Io, output: Output = io.stdout): Style {
  return { width: output.columns ?? 80, unicode: unicode(io), paint: colours(io, output) };
}

const MIN_WIDTH = 60;
const MAX_WIDTH = 120;
/** Of the width; a third of what is drawn may be names. */
const MAX_LABEL_SHARE = 1 / 3;
/** Hops nested deeper than this are drawn as deep as this. */
const MAX_INDENT = 5;
const SLOWEST = " slowest";

const COLOURS: Readonly<Record<SegmentKind, Colour>> = {
  client: "blue",
  network: "dim",
  hop: "cyan",
  wait: "yellow",
  service: "green",
  upstream: "green",
  stream: "magenta",
};

/** A line of the drawing before it is laid out. */
interface Row {
  readonly label: string;
  readonly bar: (cells: number) => string;
  readonly duration_us: number;
  readonly colour: Colour;
}

/** The drawing as lines joined by newlines, none wider than the style's width. The same input gives the same text. */
export function drawWaterfall(exchange: Exchange, trace: Trace, style: Style): string {
  const width = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, Math.floor(style.width)));
  const glyphs = style.unicode ? UNICODE : ASCII;
  const scale_us = Math.max(
    trace.total_us,
    ...trace.segments.map((segment) => segment.start_us + segment.duration_us),
    1,
  );
  const segments = trace.segments.map((segment) => segmentRow(segment, scale_us, glyphs));
  const marks = markRows(trace, scale_us, glyphs);
  const slowest = segments[slowestIndex(trace.segments)];

  const rows = [...segments, ...marks];
  const labelWidth = Math.min(Math.floor(width * MAX_LABEL_SHARE), Math.max(...rows.map((row) => row.label.length)));
  const digits = Math.max(...rows.map((row) => wholeDigits(row.duration_us)));
  const durationWidth = digits + ".000".length;
  const cells = width - labelWidth - durationWidth - glyphs.pointer.length - SLOWEST.length - 3;

  const line = (row: Row): string => {
    const label = fit(row.label, labelWidth, glyphs.ellipsis).padEnd(labelWidth);
    const start = `${label} ${style.paint(row.colour, row.bar(cells))} `;
    const duration = alignedDuration(row.duration_us, digits);
    if (row !== slowest) return (start + duration).trimEnd();
    return start + style.paint("bold", `${duration} ${glyphs.pointer}${SLOWEST}`);
  };
  return [
    ...heading(exchange, trace, width, glyphs, style.paint),
    "",
    style.paint("dim", `${" ".repeat(labelWidth)} ${axis(scale_us, cells)} ${"ms".padStart(digits)}`),
    ...segments.map(line),
    ...marks.map(line),
    ...footnotes(trace, width, style.paint),
  ].join("\n");
}

function segmentRow(segment: Segment, scale_us: number, glyphs: Glyphs): Row {
  const start = segment.start_us / scale_us;
  const end = (segment.start_us + segment.duration_us) / scale_us;
  return {
    label: "  ".repeat(Math.min(segment.depth, MAX_INDENT)) + printable(segment.label),
    bar: (cells) => (segment.duration_us === 0 ? " ".repeat(cells) : bar(segment.kind, start, end, cells, glyphs)),
    duration_us: segment.duration_us,
    colour: COLOURS[segment.kind],
  };
}

function markRows(trace: Trace, scale_us: number, glyphs: Glyphs): Row[] {
  const row = (label: string, at_us: number): Row => ({
    label,
    bar: (cells) => mark(at_us / scale_us, cells, glyphs),
    duration_us: at_us,
    colour: "bold",
  });
  const { ttft_us, total_us } = trace;
  return ttft_us === undefined ? [row("end", total_us)] : [row("first token", ttft_us), row("end", total_us)];
}

/** The first of the longest segments; -1 where no segment took any time. */
function slowestIndex(segments: readonly Segment[]): number {
  const longest_us = Math.max(0, ...segments.map((segment) => segment.duration_us));
  return longest_us === 0 ? -1 : segments.findIndex((segment) => segment.duration_us === longest_us);
}

/**
 *     POST https://agents.example.internal/v1/chat/completions 200
 *     backend agents · client → ingress → agents → service
 */
function heading(exchange: Exchange, trace: Trace, width: number, glyphs: Glyphs, paint: Paint): string[] {
  const status = String(exchange.status);
  const request = `${printable(exchange.method)} ${shownUrl(exchange.url)}`;
  const path = ["client", ...trace.hops.map((hop) => printable(hop.name))];
  if (trace.segments.some((segment) => segment.kind === "service" || segment.kind === "upstream")) path.push("service");
  const backend = exchange.backend === undefined ? "" : `backend ${printable(exchange.backend)} ${glyphs.dot} `;
  const ok = exchange.status >= 200 && exchange.status < 400;
  return [
    `${paint("bold", fit(request, width - status.length - 1, glyphs.ellipsis))} ${paint(ok ? "green" : "red", status)}`,
    fit(backend + path.join(` ${glyphs.arrow} `), width, glyphs.ellipsis),
  ];
}

/** In `cells` characters: `0` at the left, the end of the scale at the right, half of it between if there is room. */
function axis(scale_us: number, cells: number): string {
  const end = milliseconds(scale_us);
  const half = "0".padEnd(Math.floor(cells / 2)) + milliseconds(Math.round(scale_us / 2));
  const left = half.length + end.length < cells ? half : "0";
  return left + end.padStart(cells - left.length);
}

function wholeDigits(duration_us: number): number {
  return milliseconds(duration_us).split(".")[0]?.length ?? 0;
}

/** The duration with its decimal point under those of the others: size shows at a glance. */
function alignedDuration(duration_us: number, digits: number): string {
  const [whole = "", decimals] = milliseconds(duration_us).split(".");
  return `${whole.padStart(digits)}${(decimals === undefined ? "" : `.${decimals}`).padEnd(4)}`;
}

function footnotes(trace: Trace, width: number, paint: Paint): string[] {
  const lines: string[] = [];
  if (trace.others.length > 0) lines.push(...wrap(`also reported: ${trace.others.map(describe).join(", ")}`, width));
  const notes = trace.notes.flatMap((note) => wrap(`note: ${printable(note)}`, width));
  return [...lines, ...notes.map((line) => paint("yellow", line))];
}

function describe(entry: ServerTiming): string {
  const words = [entry.name];
  if (entry.duration !== undefined) words.push(`${String(entry.duration)} ms`);
  if (entry.description) words.push(`"${entry.description}"`);
  return printable(words.join(" "));
}

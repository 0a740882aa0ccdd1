/** Plots as SVG, for a page that has no script and needs no network. Colours come from the page: `.s0` to `.s7`. */

/** A line of a plot. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Its 95 % interval; none where the figure is exact. */
  readonly interval?: { readonly low: number; readonly high: number };
}

/** Where the numbers of an axis are. */
export interface Axis {
  readonly title: string;
  /** From 0 to 1: where on the axis a number is. */
  readonly place: (value: number) => number;
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
}

const WIDTH = 860;
const HEIGHT = 360;
const ROW = 26;
const NAMES = 290;
const MARGIN = { left: 70, right: 190, top: 16, bottom: 48 } as const;

/** Horizontal bars from 0, each with its interval and its figure. */
export function barPlot(title: string, unit: string, bars: readonly Bar[]): string {
  const axis = linearAxis(unit, Math.max(...bars.map(({ value, interval }) => interval?.high ?? value), 0));
  const plotWidth = WIDTH - NAMES - 80;
  const height = bars.length * ROW + MARGIN.bottom;
  const x = (value: number): number => NAMES + axis.place(Math.max(value, 0)) * plotWidth;
  const rows = bars.map(({ name, value, interval }, index) => {
    const y = index * ROW + ROW / 2;
    const { low, high } = interval ?? { low: value, high: value };
    const known = interval === undefined ? "" : `, 95 % interval ${low.toFixed(2)} to ${high.toFixed(2)}`;
    return [
      `<g><title>${escape(`${name}: ${value.toFixed(2)} ${unit}${known}`)}</title>`,
      text(NAMES - 10, y + 4, name, "end"),
      `<rect class="s0 bar" x="${NAMES}" y="${y - 8}" width="${at(x(value) - NAMES)}" height="16" rx="2"/>`,
      interval === undefined
        ? ""
        : `<path class="interval" d="M${at(x(low))} ${y}H${at(x(high))}M${at(x(low))} ${y - 4}v8M${at(x(high))} ${y - 4}v8"/>`,
      text(x(Math.max(high, value)) + 8, y + 4, value.toFixed(1), "start", "figure"),
      "</g>",
    ].join("");
  });
  const bottom = bars.length * ROW;
  const ticks = axis.ticks.map(({ value, label }) =>
    [`<path class="grid" d="M${at(x(value))} 0V${bottom}"/>`, text(x(value), bottom + 18, label, "middle")].join(""),
  );
  return figure(title, height, [...ticks, ...rows, text(NAMES + plotWidth / 2, bottom + 38, unit, "middle", "axis")]);
}

/** Lines, each named at its end. */
export function linePlot(title: string, x: Axis, y: Axis, series: readonly Series[]): string {
  const [width, height] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const left = (value: number): number => MARGIN.left + x.place(value) * width;
  const top = (value: number): number => MARGIN.top + (1 - y.place(value)) * height;
  const bottom = MARGIN.top + height;
  const grid = [
    ...x.ticks.map(({ value, label }) => text(left(value), bottom + 18, label, "middle")),
    ...y.ticks.flatMap(({ value, label }) => [
      `<path class="grid" d="M${MARGIN.left} ${at(top(value))}h${width}"/>`,
      text(MARGIN.left - 8, top(value) + 4, label, "end"),
    ]),
    text(MARGIN.left + width / 2, bottom + 40, x.title, "middle", "axis"),
    `<g transform="rotate(-90)">${text(-(MARGIN.top + height / 2), 14, y.title, "middle", "axis")}</g>`,
  ];
  const ends = spread(series.map(({ points }) => top(points.at(-1)?.y ?? 0)));
  const lines = series.map(({ name, points }, index) => {
    const path = points
      .map((point, at0) => `${at0 === 0 ? "M" : "L"}${at(left(point.x))} ${at(top(point.y))}`)
      .join("");
    const end = points.at(-1);
    return [
      `<g class="s${index % 8}"><title>${escape(name)}</title><path class="line" d="${path}"/>`,
      ...points.map(
        (point) =>
          `<circle cx="${at(left(point.x))}" cy="${at(top(point.y))}" r="2.5"><title>${escape(`${name}: ${point.y.toFixed(1)}`)}</title></circle>`,
      ),
      text(left(end?.x ?? 0) + 10, (ends[index] ?? 0) + 4, name, "start", "name"),
      "</g>",
    ].join("");
  });
  return figure(title, HEIGHT, [...grid, ...lines]);
}

/** From 0 to a little above `most`, in round steps. */
export function linearAxis(title: string, most: number): Axis {
  const step = roundStep(most / 5 || 1);
  const count = Math.max(Math.ceil(most / step), 1);
  const ticks = Array.from({ length: count + 1 }, (_, index) => {
    const value = index * step;
    return { value, label: Number(value.toPrecision(6)).toLocaleString("en") };
  });
  return { title, place: (value) => value / (count * step), ticks };
}

/** Places the numbers of `labels` by their logarithms. */
export function logAxis(title: string, labels: readonly { readonly value: number; readonly label: string }[]): Axis {
  const [least, most] = [labels[0]?.value ?? 1, labels.at(-1)?.value ?? 10];
  const place = (value: number): number => Math.log(value / least) / Math.log(most / least);
  return { title, place, ticks: labels };
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return (([1, 2, 5, 10] as const).find((times) => times * power >= least) ?? 10) * power;
}

/** The same positions, moved apart where the texts beside them would overlap. */
function spread(positions: readonly number[]): readonly number[] {
  const LEAST_GAP = 15;
  const order = positions.map((_, index) => index).sort((a, b) => (positions[a] ?? 0) - (positions[b] ?? 0));
  const moved = [...positions];
  order.forEach((index, rank) => {
    const above = order[rank - 1];
    if (above !== undefined) moved[index] = Math.max(moved[index] ?? 0, (moved[above] ?? 0) + LEAST_GAP);
  });
  return moved;
}

function figure(title: string, height: number, parts: readonly string[]): string {
  return [
    `<figure><figcaption>${escape(title)}</figcaption>`,
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(title)}">`,
    ...parts,
    "</svg></figure>",
  ].join("\n");
}

function text(x: number, y: number, words: string, anchor: "start" | "middle" | "end", className = ""): string {
  const classes = className === "" ? "" : ` class="${className}"`;
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}"${classes}>${escape(words)}</text>`;
}

function at(value: number): string {
  return value.toFixed(1);
}

/** For text and attributes of HTML. */
export function escape(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

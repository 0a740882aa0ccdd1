/** What a check found wrong, before it has a line and a column. */

/** The keys and indices that lead to a node, from the top of the file. */
export type Path = readonly (string | number)[];

export interface Finding {
  readonly path: Path;
  /** Which part of the entry at `path` to point at. */
  readonly part: "key" | "value";
  /** What is wrong. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
}

/** Says that the value at `path` is wrong. */
export type Report = (path: Path, message: string, fix: string) => void;

/** `routes[0].hosts[1]` */
export function renderPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    const name = /^[\w-]{1,63}$/.test(step) ? step : show(step);
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

/** A value of the file as an error message quotes it: short, on one line, and without control characters. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value !== "string") return String(value);
  const short = value.length > LONGEST_QUOTE ? `${value.slice(0, LONGEST_QUOTE)}…` : value;
  return JSON.stringify(short).replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, "?");
}

const LONGEST_QUOTE = 80;

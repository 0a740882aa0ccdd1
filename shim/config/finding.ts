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
  /** The entry that the one at `path` is at odds with. */
  readonly other?: Path | undefined;
}

/** Says that the value at `path` is wrong, and with which other entry it is at odds. */
export type Report = (path: Path, message: string, fix: string, other?: Path) => void;

/** `routes[0].hosts[1]` */
export function renderPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    const name = /^[\w-]{1,63}$/.test(step) ? step : show(step);
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

/** A value of the file as an error message quotes it: short and on one line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > LONGEST_QUOTE ? `${value.slice(0, LONGEST_QUOTE)}...` : value);
}

const LONGEST_QUOTE = 80;

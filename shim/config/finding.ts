/** What a check found wrong, before it has a line and a column. */

import { withoutCredentials } from "../url-text.js";

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
    const name = /^[\w-]{1,63}$/.test(step) ? step : quote(withoutCredentials(step));
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

/** The fields whose value no message may show. */
const SECRETS: ReadonlySet<string> = new Set(["timing", "timing.key"]);

/** Whether no message may show what stands at `path`. */
export function isSecret(path: Path): boolean {
  return SECRETS.has(renderPath(path));
}

/** A value of the file as an error message quotes it: short, on one line, and without what is secret in a URL. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  if (typeof value !== "string") return String(value);
  if (!/[@?#]/.test(value)) return quote(value);
  return `${quote(withoutCredentials(value))} (shown without userinfo and query)`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}...` : text);
}

const LONGEST_QUOTE = 80;

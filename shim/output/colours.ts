import type { Io, Output } from "./io.js";

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;

export type Colour = keyof typeof CODES;

/** Puts text in a colour, or returns it as it is where colours are off. */
export type Paint = (colour: Colour, text: string) => string;

/** Colours off: what tests and files get. */
export const plain: Paint = (_colour, text) => text;

const ansi: Paint = (colour, text) => (text === "" ? "" : `\u001b[${String(CODES[colour])}m${text}\u001b[0m`);

/**
 * The paint for an output. FORCE_COLOR decides where it is set (`0` and `false` mean no), then a non-empty
 * NO_COLOR means no, then a terminal that is not `dumb` means yes: the order of Node's own `getColorDepth`.
 */
export function colours(io: Io, output: Output = io.stdout): Paint {
  const force = io.env["FORCE_COLOR"];
  if (force !== undefined) return force === "0" || force === "false" ? plain : ansi;
  if (io.env["NO_COLOR"] || io.env["TERM"] === "dumb") return plain;
  return output.isTTY === true ? ansi : plain;
}

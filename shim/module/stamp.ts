import { createHash } from "node:crypto";

/**
 * The name that a build of the filter has for itself, and reports as the label `module` of `hopgate_config`: the first 64 bits of
 * the module's SHA-256, as sixteen hexadecimal digits, taken while these digits are still zeros. See filter/module.ts.
 */
const MARK = Buffer.from("hopgate module ");
const DIGITS = 16;

/** The module with its stamp. @throws Error if it has no place for one, or several */
export function stamped(wasm: Uint8Array): Buffer {
  const at = placeIn(wasm);
  if (at === undefined) throw new Error("the module has no place for a stamp");
  const blank = withDigits(wasm, at, "0".repeat(DIGITS));
  return withDigits(blank, at, digitsOf(blank));
}

/** The stamp that a module has; undefined if it has none, or a wrong one: changed after it was built. */
export function stampOf(wasm: Uint8Array): string | undefined {
  const at = placeIn(wasm);
  if (at === undefined) return undefined;
  const digits = Buffer.from(wasm.subarray(at, at + DIGITS)).toString("latin1");
  return digits === digitsOf(withDigits(wasm, at, "0".repeat(DIGITS))) ? digits : undefined;
}

function placeIn(wasm: Uint8Array): number | undefined {
  const bytes = Buffer.from(wasm.buffer, wasm.byteOffset, wasm.byteLength);
  const mark = bytes.indexOf(MARK);
  if (mark === -1 || bytes.includes(MARK, mark + 1)) return undefined;
  return mark + MARK.length;
}

function withDigits(wasm: Uint8Array, at: number, digits: string): Buffer {
  const copy = Buffer.from(wasm);
  copy.write(digits, at);
  return copy;
}

function digitsOf(blank: Uint8Array): string {
  return createHash("sha256").update(blank).digest("hex").slice(0, DIGITS);
}

import type { Io } from "../../../shim/output/io.js";

/** An `Io` that remembers what was written to stderr. */
export function fakeIo(options: { isTTY?: boolean; columns?: number; env?: Record<string, string> } = {}): {
  io: Io;
  written: string[];
} {
  const written: string[] = [];
  const output = { write: (text: string) => written.push(text), isTTY: options.isTTY, columns: options.columns };
  return { io: { stdout: { ...output, write: () => undefined }, stderr: output, env: options.env ?? {} }, written };
}

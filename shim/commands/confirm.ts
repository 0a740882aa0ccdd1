import { createInterface } from "node:readline/promises";

import { UsageError } from "../errors.js";
import type { Io } from "../output/io.js";

/** Asks, and takes yes for yes alone. @throws UsageError where nobody can answer */
export async function confirmed(question: string, io: Io, signal: AbortSignal): Promise<boolean> {
  if (io.stdin === undefined) throw new UsageError("nobody can be asked here", "say yes beforehand, with -y");
  const lines = createInterface({ input: io.stdin });
  try {
    io.stderr.write(`${question} [y/N] `);
    for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line);
    return false;
  } finally {
    signal.throwIfAborted();
    lines.close();
  }
}

import { createInterface } from "node:readline/promises";

import { UsageError } from "../errors.js";
import type { Io } from "../output/io.js";

/** Asks, and takes yes for yes alone. @throws UsageError where nobody can answer */
export async function confirmed(question: string, io: Io, signal: AbortSignal): Promise<boolean> {
  const { stdin, stderr } = io;
  if (stdin === undefined) throw new UsageError("nobody can be asked here", "say yes beforehand, with -y");
  const lines = createInterface({ input: stdin, signal });
  // A terminal shows the answer with its end of line; from elsewhere, and without an answer, there is none to be seen.
  let isLineOpen = true;
  try {
    stderr.write(`${question} [y/N] `);
    // Of an interface that is closed already, the lines never end.
    signal.throwIfAborted();
    for await (const line of lines) {
      isLineOpen = !("isTTY" in stdin && stdin.isTTY === true);
      return /^\s*y(es)?\s*$/i.test(line);
    }
    stderr.write("\nNobody answered; -y says yes beforehand.");
    return false;
  } finally {
    if (isLineOpen) stderr.write("\n");
    signal.throwIfAborted();
    lines.close();
  }
}

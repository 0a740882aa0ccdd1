import type { Io } from "./io.js";
import { fit, printable } from "./text.js";

/** What a command is doing now: one line that each step replaces. */
export interface Progress {
  step(text: string): void;
  /** Removes the line. */
  done(): void;
}

const CLEAR_LINE = "\r\u001b[2K";

/** Progress on stderr if that is a terminal; otherwise nothing is written, as a log file wants results alone. */
export function progress(io: Io): Progress {
  const { stderr } = io;
  if (stderr.isTTY !== true) return { step: () => undefined, done: () => undefined };
  // One column less than there is: a terminal wraps after the last, and the line could not be replaced.
  const width = (stderr.columns ?? 80) - 1;
  return {
    step: (text) => void stderr.write(CLEAR_LINE + fit(printable(text), width, "...")),
    done: () => void stderr.write(CLEAR_LINE),
  };
}

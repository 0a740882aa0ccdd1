import { CommanderError } from "commander";

import { ConfigError } from "./config/config-error.js";
import { Failure, Interrupted, UsageError } from "./errors.js";
import { colours } from "./output/colours.js";
import { harmless } from "./output/text.js";
import type { Io } from "./output/io.js";

/** Says on stderr what went wrong. Returns the exit code for it. */
export function exitCodeOf(error: unknown, io: Io, signal: AbortSignal): number {
  // Help and version arrive as errors too; commander has printed whatever there is to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (signal.aborted) {
    if (error instanceof Interrupted || error instanceof Failure)
      io.stderr.write(`interrupted: ${harmless(error.message)}\n`);
    return 130;
  }
  const mark = colours(io, io.stderr)("red", "hopgate:");
  if (error instanceof ConfigError) {
    io.stderr.write(`${error.message}\n`);
    return 2;
  }
  if (error instanceof UsageError || error instanceof Failure) {
    io.stderr.write(`${mark} ${harmless(error.message)}\n${error.fix === undefined ? "" : `${harmless(error.fix)}\n`}`);
    return error instanceof UsageError ? 2 : 1;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  io.stderr.write(`${mark} This is a defect of hopgate; please report it.\n${text}\n`);
  return 1;
}

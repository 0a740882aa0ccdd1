#!/usr/bin/env node
import { processIo } from "./output/io.js";
import { run } from "./run.js";

/** How long an interrupted command may take to put its things away. */
const GRACE_MS = 10_000;
/** What a shell reports for a program that a closed pipe ended (128 + SIGPIPE). */
const CLOSED_PIPE = 141;

const ending = new AbortController();
let lost: NodeJS.ErrnoException | undefined;

/** Asks the command to end; at the second time, or when it takes too long, ends it. Whatever it runs ends with it. */
function end(): void {
  if (ending.signal.aborted) process.exit(130);
  ending.abort();
  setTimeout(() => process.exit(130), GRACE_MS).unref();
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);

// Nobody reads any more, or the disk is full: going on would be of no use.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    lost ??= error;
    ending.abort();
  });
}

const exitCode = await run(process.argv.slice(2), processIo(), ending.signal);
if (lost === undefined) process.exitCode = exitCode;
else if (lost.code === "EPIPE") process.exitCode = CLOSED_PIPE;
else {
  process.stderr.write(`hopgate: The output cannot be written: ${lost.message}\n`);
  process.exitCode = 1;
}

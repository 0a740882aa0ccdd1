#!/usr/bin/env node
import { processIo } from "./output/io.js";
import { run } from "./run.js";

const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());

process.exitCode = await run(process.argv.slice(2), processIo(), ending.signal);

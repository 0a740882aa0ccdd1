import { Failure } from "../errors.js";
import type { ProgramEnd } from "./keeper.js";

/** One entry of Envoy's log; `message` may have several lines. */
interface LogEntry {
  readonly level: string;
  readonly component: string;
  readonly message: string;
}

/** `[2026-01-31 12:00:00.000][PID][LEVEL][COMPONENT] [FILE:LINE] MESSAGE`: Envoy's default log format. */
const ENTRY = /^\[[^\]]+\]\[\d+\]\[(\w+)\]\[(\w+)\] (?:\[[^\]]*\] )?(.*)$/;
const MAX_TOLD = 5;
const MAX_HEAD = 300;
const MAX_TAIL = 200;

/** Why an Envoy that should run does not. `hop` names it, `log` is what it has written. */
export function explainEnd(hop: string, end: ProgramEnd, log: string): Failure {
  if (end.because === "keeperLost") {
    return new Failure(`${hop}: Envoy was ended, because the process that watches over it was killed`);
  }
  if (end.signal !== null) return new Failure(withLog(`${hop}: Envoy was ended by ${end.signal}`, log));
  return explainRefusal(hop, log) ?? new Failure(withLog(`${hop}: Envoy ended with code ${end.code}`, log));
}

/** What Envoy has against its configuration, read from its log; undefined where the log has nothing of the kind. */
export function explainRefusal(hop: string, log: string): Failure | undefined {
  const port = /cannot bind '(.+):(\d+)': (.+?)(?=` initializing|\n|$)/.exec(log);
  if (port !== null) return bindFailure(hop, port[1] ?? "", port[2] ?? "", port[3] ?? "");
  const entries = parseLog(log);
  for (const [index, { message }] of entries.entries()) {
    const refusal = REFUSAL.exec(message);
    if (refusal === null) continue;
    const reason = oneLine(refusal[1] ?? refusal[2] ?? "");
    return new Failure(withLines(`${hop}: Envoy refused its configuration: ${reason}`, grave(entries.slice(0, index))));
  }
  return undefined;
}

/** What Envoy logs of its bootstrap (source/server/server.cc), and of a file that a discovery service reads. */
const REFUSAL = /^error `([\s\S]+?)` initializing config|^Filesystem config update (?:rejected|failure): ([\s\S]+)/;

function bindFailure(hop: string, address: string, port: string, reason: string): Failure {
  switch (reason) {
    case "Address already in use":
      return new Failure(`${hop}: port ${port} is taken (${address})`, {
        fix: `Give another with --port, or end the program that listens on ${port}.`,
      });
    case "Permission denied":
      return new Failure(`${hop}: no permission to listen on port ${port} (${address})`, {
        fix: "Give a port from 1024 upwards with --port.",
      });
    default:
      return new Failure(`${hop}: cannot listen on ${address}:${port}: ${reason}`);
  }
}

/** `message` and below it what the log says went wrong, else, where it says nothing of the kind, how it ends. */
export function withLog(message: string, log: string): string {
  const entries = parseLog(log);
  const errors = grave(entries);
  return withLines(message, errors.length > 0 ? errors : entries);
}

/** Errors, and warnings of Wasm, where a plugin's own words are. */
function grave(entries: readonly LogEntry[]): readonly LogEntry[] {
  return entries.filter(({ level, component }) => {
    const worst = level === "critical" || level === "error";
    return (worst && component !== "backtrace") || (level === "warning" && component === "wasm");
  });
}

function withLines(message: string, entries: readonly LogEntry[]): string {
  const lines = new Set(entries.map((entry) => `  ${entry.level}: ${oneLine(entry.message)}`));
  return [message, ...[...lines].slice(-MAX_TOLD)].join("\n");
}

function parseLog(log: string): readonly LogEntry[] {
  const entries: LogEntry[] = [];
  for (const line of log.split("\n")) {
    const [, level, component, message] = ENTRY.exec(line) ?? [];
    if (level !== undefined && component !== undefined && message !== undefined) {
      entries.push({ level, component, message });
    } else if (line.trim() !== "") {
      // The rest of the entry before it, or plain words of the loader or of Envoy's argument parser.
      const before = entries.pop() ?? { level: "stderr", component: "", message: "" };
      entries.push({ ...before, message: `${before.message}\n${line}` });
    }
  }
  return entries;
}

/** Of a long text its head and its tail: protobuf's complaints end with what is wrong, others begin with it. */
function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > MAX_HEAD + MAX_TAIL ? `${line.slice(0, MAX_HEAD)} ... ${line.slice(-MAX_TAIL)}` : line;
}

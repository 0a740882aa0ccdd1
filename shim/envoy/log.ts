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
const MAX_LINE = 400;

/** Why an Envoy that should run does not. `hop` names it, `log` is what it has written. */
export function explainEnd(hop: string, end: ProgramEnd, log: string): Failure {
  if (end.because === "keeperLost") {
    return new Failure(`${hop}: Envoy was ended, because the process that watches over it was killed`);
  }
  const how = end.signal === null ? `ended with code ${end.code}` : `was ended by ${end.signal}`;
  return explainRefusal(hop, log) ?? new Failure(withLog(`${hop}: Envoy ${how}`, log));
}

/** What Envoy has against its configuration, read from its log; undefined where the log has nothing of the kind. */
export function explainRefusal(hop: string, log: string): Failure | undefined {
  const port = /cannot bind '(.+):(\d+)': (.+?)(?=` initializing|\n|$)/.exec(log);
  if (port !== null) return bindFailure(hop, port[1] ?? "", port[2] ?? "", port[3] ?? "");
  const refused = REFUSALS.map((pattern) => pattern.exec(log)?.[1]).find((reason) => reason !== undefined);
  if (refused === undefined) return undefined;
  return new Failure(withLog(`${hop}: Envoy refused its configuration: ${oneLine(refused)}`, log));
}

const REFUSALS = [
  /error `([\s\S]+?)` initializing config/,
  /Filesystem config update (?:rejected|failure): ([\s\S]+?)(?=\n\[\d|\n\n|$)/,
];

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

/** `message` and below it what the log has to say, errors first; nothing where it has nothing. */
export function withLog(message: string, log: string): string {
  return [message, ...meaningfulLines(log).map((line) => `  ${line}`)].join("\n");
}

/**
 * The last lines of `log` that say what went wrong: errors, and warnings of Wasm, where a plugin's own words are; where
 * there are none, the last ones of any kind.
 */
function meaningfulLines(log: string): readonly string[] {
  const entries = parseLog(log);
  const grave = entries.filter(
    ({ level, component }) =>
      (level === "critical" || level === "error" || (level === "warning" && component === "wasm")) &&
      component !== "backtrace",
  );
  const told = (grave.length > 0 ? grave : entries).map(({ level, message }) => `${level}: ${oneLine(message)}`);
  return [...new Set(told)].slice(-MAX_TOLD);
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

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}...` : line;
}

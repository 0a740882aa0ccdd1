import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { Failure } from "../shim/errors.js";
import { type Generator, type Latencies, LEAD_IN_MS, type OpenLoop, PATIENCE_MS } from "./generator.js";

/** What of a line of `vegeta encode --to csv` is read: when the request was sent (ns), status, latency (ns), and which it was. */
const [TIMESTAMP, CODE, LATENCY, SEQUENCE] = [0, 1, 2, 8];

/** Vegeta (https://github.com/tsenart/vegeta): sends at a fixed rate from as many connections as it takes. `path`: its binary. */
export function vegetaGenerator(path: string): Generator {
  return { name: "vegeta", send: (load) => attack(path, load) };
}

async function attack(path: string, { port, host, headers, ratePerSec, durationMs }: OpenLoop): Promise<Latencies> {
  const wholeMs = LEAD_IN_MS + durationMs;
  const options = [
    `-rate=${ratePerSec}`,
    `-duration=${wholeMs}ms`,
    `-timeout=${PATIENCE_MS}ms`,
    "-http2=false",
    "-max-body=0",
  ];
  const attacker = spawn(path, ["attack", ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const encoder = spawn(path, ["encode", "--to", "csv"], { stdio: ["pipe", "pipe", "inherit"] });
  attacker.stdout.pipe(encoder.stdin);
  attacker.stdin.end(targetText(port, host, headers));
  const ends = Promise.all([once(attacker, "close"), once(encoder, "close")]);
  const rows: Row[] = [];
  for await (const line of createInterface({ input: encoder.stdout })) rows.push(parseRow(line));
  const [[attackCode], [encodeCode]] = (await ends) as [[number | null], [number | null]];
  if (attackCode !== 0 || encodeCode !== 0) throw new Failure(`${path} ended with ${attackCode ?? encodeCode}`);
  return sinceDue(rows, ratePerSec, durationMs);
}

/** What Vegeta sends. It takes headers as they are spelled, and only `Host` for the host: of `host` it would send a second one. */
export function targetText(port: number, host: string, headers: OpenLoop["headers"]): string {
  const fields = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\n`);
  return `GET http://127.0.0.1:${port}/v1/models\n${fields.join("")}\n`;
}

/** Times in microseconds since some request's. */
interface Row {
  readonly sentUs: number;
  readonly latencyUs: number;
  readonly sequence: number;
  readonly status: number;
}

let epochNs: bigint | undefined;

function parseRow(line: string): Row {
  const cells = line.split(",");
  const sentNs = BigInt(cells[TIMESTAMP] ?? "0");
  epochNs ??= sentNs; // nanoseconds since 1970 are too many for a number
  return {
    sentUs: Number(sentNs - epochNs) / 1000,
    latencyUs: Number(cells[LATENCY]) / 1000,
    sequence: Number(cells[SEQUENCE]),
    status: Number(cells[CODE]),
  };
}

/**
 * Vegeta measures from when a request was sent. It was due `sequence` periods after the first, at the latest when it was sent. What was due
 * before `LEAD_IN_MS` is left out.
 */
export function sinceDue(rows: readonly Row[], ratePerSec: number, durationMs: number): Latencies {
  const periodUs = 1_000_000 / ratePerSec;
  // Where it does not get to it, Vegeta leaves requests out.
  const due = Math.round((ratePerSec * durationMs) / 1000);
  const startUs = rows.reduce((least, { sentUs, sequence }) => Math.min(least, sentUs - sequence * periodUs), Infinity);
  const counted = rows.filter(({ sequence }) => sequence * periodUs >= LEAD_IN_MS * 1000);
  const answered = counted.filter(({ status }) => status === 200);
  const latencies = answered.map(
    ({ sentUs, latencyUs, sequence }) => sentUs + latencyUs - startUs - sequence * periodUs,
  );
  return { latencies_us: Float64Array.from(latencies), unanswered: Math.max(due - answered.length, 0) };
}

import { lookUp } from "../shim/envoy/locate.js";
import { UsageError } from "../shim/errors.js";
import { nodeGenerator } from "./open-loop.js";
import { vegetaGenerator } from "./vegeta.js";

/** Load at a fixed rate, whether or not answers come in time: what a latency distribution has to be measured under. */
export interface OpenLoop {
  /** At 127.0.0.1. */
  readonly port: number;
  readonly ratePerSec: number;
  /** How long requests are due that count; those of `LEAD_IN_MS` before do not: connections are made then. */
  readonly durationMs: number;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

export const LEAD_IN_MS = 200;

export interface Latencies {
  /** Of each answered request, from when it was due to the end of its answer: waiting for its turn counts (no coordinated omission). */
  readonly latencies_us: Float64Array;
  /** Requests that were due and got no 200 within `PATIENCE_MS`. */
  readonly unanswered: number;
}

export const PATIENCE_MS = 2000;

/** Who sends load at a fixed rate, over kept HTTP/1.1 connections. */
export interface Generator {
  /** As the report names it. */
  readonly name: "vegeta" | "node";
  readonly send: (load: OpenLoop) => Promise<Latencies>;
}

/** The generator that was asked for; else Vegeta where it is on PATH, and our own where it is not. @throws UsageError */
export async function chooseGenerator(wanted: Generator["name"] | undefined, path: string): Promise<Generator> {
  if (wanted === "node") return nodeGenerator();
  const vegeta = await lookUp("vegeta", path);
  if (vegeta !== undefined) return vegetaGenerator(vegeta);
  if (wanted === undefined) return nodeGenerator();
  throw new UsageError(
    "vegeta is not on PATH.",
    "Install it (go install github.com/tsenart/vegeta/v12@v12.13.0), or leave --generator out.",
  );
}

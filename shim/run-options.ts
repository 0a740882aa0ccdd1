import { InvalidArgumentError, Option } from "commander";

import { DEFAULT_CONFIG } from "./commands/config-path.js";
import type { Io } from "./output/io.js";

/** Options that several commands have, and how values are read. */

/** What the commands share: where they print, what asks them to end, and who is told their exit code. */
export interface Invocation {
  readonly io: Io;
  readonly signal: AbortSignal;
  readonly done: (exitCode: number) => void;
}

export const OUTPUT = new Option("-o, --output <format>", "how to print the result")
  .choices(["text", "json"])
  .default("text");
export const CONFIG = new Option("-c, --config <file>", "the hopgate.yaml").default(DEFAULT_CONFIG);
export const IMAGE = new Option(
  "--image <reference>",
  "the filter's image, with its digest (default: image of the file)",
);
export const API = new Option("--api <resource>", "the resource that brings the filter into proxies")
  .choices(["wasmplugin", "trafficextension"])
  .default("wasmplugin");

export const PLAIN_HTTP = new Option("--plain-http", "speak HTTP to the registry; without credentials");

export const KUBECONFIG = new Option(
  "--kubeconfig <file>",
  "the kubeconfig (default: KUBECONFIG, then ~/.kube/config)",
);
export const CONTEXT = new Option("--context <name>", "a context of it, for its cluster; repeatable")
  .argParser(append)
  .default([], "the current one");
export const TIMEOUT = new Option(
  "--timeout <seconds>",
  "how long proxies may take to run it, behind up to 10 s for each stage before",
)
  .argParser(between(1, 3600))
  .default(60);

export function milliseconds(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("A time is a whole number of milliseconds, up to 99999.");
  return Number(text);
}

export function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65535) throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  return value;
}

/** Throws nothing, for commander would print the value: headers and URLs may hold credentials. */
export function append(text: string, others: readonly string[]): readonly string[] {
  return [...others, text];
}

export function between(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Write a whole number from ${least} to ${most}.`);
  };
}

export const SKIP_CHECKS = new Option("--skip-checks <codes>", "checks to leave out, such as HG0411,HG0412")
  .argParser((text: string) => text.split(",").filter((code) => code !== ""))
  .default([], "none");

export const HEADER = new Option(
  "-H, --header <name: value>",
  "a header of the request, or @FILE with one on each line; repeatable",
)
  .argParser(append)
  .default([], "none");

export const YES = new Option("-y, --yes", "do not ask");

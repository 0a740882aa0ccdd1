import { accessSync, closeSync, constants, existsSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

import { errorCode, UsageError } from "../errors.js";
import { type ArchivedExchange, harOf } from "../har/har.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { progress } from "../output/progress.js";
import { printable, shownUrl } from "../output/text.js";
import { packageVersion } from "../package-root.js";
import { type ClientResponse, keepAlive, request } from "../trace/client.js";
import { type Trace, tracePath } from "../trace/path.js";
import { parseServerTiming } from "../trace/server-timing.js";
import { comparePaths, summarise } from "../trace/summary.js";
import { drawWaterfall, styleFor } from "../trace/waterfall.js";
import { type Plan, planOf, type RequestOptions } from "./trace-plan.js";

export interface TraceOptions extends RequestOptions {
  /** How many requests to send, one after the other. */
  readonly count: number;
  readonly har?: string | undefined;
  readonly fail?: boolean | undefined;
  readonly output: "text" | "json";
}

/**
 * Sends requests to a running mesh, and shows from their Server-Timing where the time went. Returns 0 if every response
 * arrived, whatever its status; with `fail`, 1 if one had a status of 400 or more.
 */
export async function trace(url: string, options: TraceOptions, io: Io, signal: AbortSignal): Promise<number> {
  const plan = await planOf(url, options);
  if (options.har !== undefined) checkHar(options.har);
  const exchanges = await sendAll(plan, options, io, signal);
  if (options.har !== undefined) writeHar(options.har, exchanges);
  const report = reportOf(plan, exchanges);
  if (options.output === "json") io.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else io.stdout.write(`${draw(plan, exchanges, report, io)}\n`);
  const failed = exchanges.find(({ response }) => response.status >= 400);
  if (failed !== undefined) io.stderr.write(`${colours(io, io.stderr)("yellow", "hopgate:")} ${answerOf(failed)}\n`);
  if (!report.hops_reported) io.stderr.write(`${colours(io, io.stderr)("yellow", "hopgate:")} ${whyNoHop(plan)}\n`);
  return options.fail === true && failed !== undefined ? 1 : 0;
}

interface Exchange extends ArchivedExchange {
  readonly response: ClientResponse;
}

async function sendAll(plan: Plan, options: TraceOptions, io: Io, signal: AbortSignal): Promise<readonly Exchange[]> {
  const steps = progress(io);
  const agent = keepAlive(plan.url);
  const exchanges: Exchange[] = [];
  try {
    while (exchanges.length < options.count) {
      steps.step(`request ${exchanges.length + 1} of ${options.count}`);
      const startedMs = Date.now();
      const response = await request({ ...plan.request, agent, signal });
      exchanges.push({
        startedMs,
        method: plan.request.method ?? "GET",
        url: plan.url,
        headers: plan.headers,
        bodyBytes: Buffer.byteLength(options.data ?? ""),
        // No more is shown of the body, and thousands of them would fill the memory.
        response: { ...response, body: response.status >= 400 ? firstLine(response.body) : "" },
        responseBytes: Buffer.byteLength(response.body),
        trace: traceOf(plan, response),
      });
    }
    return exchanges;
  } finally {
    steps.done();
    agent.destroy();
  }
}

function traceOf({ mesh }: Plan, { serverTiming, times }: ClientResponse): Trace {
  return tracePath(parseServerTiming(serverTiming), times, mesh && [...mesh.hops.keys()]);
}

const LONGEST_LINE = 200;

/** The first line of a body that has something in it, cut. */
function firstLine(body: string): string {
  return (
    body
      .trimStart()
      .slice(0, LONGEST_LINE)
      .split(/[\r\n]/, 1)[0] ?? ""
  );
}

/** What came instead of a good answer: `the answer is 503 (x-hopgate-error: token_unavailable): no token` */
function answerOf({ response: { status, headers, body } }: Exchange): string {
  const code = headers["x-hopgate-error"];
  return printable(
    `the answer is ${String(status)}${code === undefined ? "" : ` (x-hopgate-error: ${code})`}${body === "" ? "" : `: ${body}`}`,
  );
}

/** Throws UsageError if the file cannot be written, before anything is sent. Leaves no file behind if requests fail. */
function checkHar(file: string): void {
  orUnwritable(file, () => {
    if (existsSync(file)) closeSync(openSync(file, "r+"));
    else accessSync(dirname(file), constants.W_OK);
  });
}

function writeHar(file: string, exchanges: readonly Exchange[]): void {
  orUnwritable(file, () => writeFileSync(file, `${JSON.stringify(harOf(exchanges, packageVersion()), null, 2)}\n`));
}

function orUnwritable(file: string, use: () => void): void {
  try {
    use();
  } catch (cause) {
    throw new UsageError(
      `--har ${file} cannot be written (${errorCode(cause)}).`,
      "Name a file in a directory that exists.",
    );
  }
}

function reportOf({ url, request: { method }, key }: Plan, exchanges: readonly Exchange[]) {
  const first = exchanges[0];
  const traces = exchanges.map((exchange) => exchange.trace);
  return {
    method: method ?? "GET",
    url: shownUrl(url),
    count: exchanges.length,
    /** How often each status came. */
    statuses: statusesOf(exchanges),
    key_sent: key === "sent",
    hops_reported: traces.some(({ hops }) => hops.length > 0),
    /** Of the first request. */
    status: first?.response.status ?? 0,
    error_code: first?.response.headers["x-hopgate-error"] ?? null,
    trace: first?.trace ?? null,
    summary: exchanges.length > 1 ? summarise("all requests", traces) : null,
  };
}

function statusesOf(exchanges: readonly Exchange[]): Readonly<Record<string, number>> {
  const statuses: Record<string, number> = {};
  for (const { response } of exchanges) statuses[response.status] = (statuses[response.status] ?? 0) + 1;
  return statuses;
}

function draw(plan: Plan, exchanges: readonly Exchange[], report: ReturnType<typeof reportOf>, io: Io): string {
  const [first] = exchanges;
  if (first === undefined) return "";
  const { method, url, status, error_code, statuses, summary } = report;
  const lines = [drawWaterfall({ method, url, status }, first.trace, styleFor(io))];
  if (error_code !== null) lines.push(colours(io)("red", `answered by hopgate: ${printable(error_code)}`));
  if (summary !== null) lines.push("", comparePaths([summary]));
  const counts = Object.entries(statuses);
  if (counts.length > 1) lines.push("", `statuses: ${counts.map(([code, times]) => `${code} x ${times}`).join(", ")}`);
  return lines.join("\n");
}

function whyNoHop({ key, config, host, mesh }: Plan): string {
  const advice = {
    none: "No key was sent: give timing.key of the mesh with --key, or its file with --config.",
    withheld: `The key of ${config ?? ""} was not sent, for ${host} is no host of its routes: give it with --key.`,
    sent: "A key was sent: it must be the timing.key that the gateway runs with.",
  }[key];
  const exposure =
    mesh?.timing.expose === "never" ? `timing.expose of ${config ?? ""} is never: no caller is told. ` : "";
  return `No hop reported its time. ${exposure}${advice}\nIf that is right, ${host} may not lead through a gateway that runs hopgate, or timing.expose is never there.`;
}

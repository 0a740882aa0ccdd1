import { table } from "../shim/output/table.js";
import type { CpuPart, InstructionsPart, LatencyPart, Report } from "./report.js";
import type { Estimate } from "./statistics.js";

/** The report as a terminal shows it. */
export function drawReport(report: Report): string {
  const { latency, instructions, memory, reload, burst, host_calls } = report;
  return [
    ...report.cpu.map(drawCpu),
    ...(latency === null ? [] : [drawLatency(latency)]),
    ...(instructions === null ? [] : [drawInstructions(instructions)]),
    ...(memory.length === 0 ? [] : [drawMemory(memory)]),
    ...(reload.length === 0 ? [] : [drawReload(reload)]),
    ...(burst.length === 0 ? [] : [drawBurst(burst)]),
    ...(host_calls.length === 0 ? [] : [drawHostCalls(host_calls)]),
    footer(report),
  ].join("\n\n");
}

function drawCpu({ name, workers, chunks, variants, ratios }: CpuPart): string {
  const rows = variants.map(({ name: variant, cpu_us, added_us, added_share }) => [
    variant,
    cpu_us.median.toFixed(1),
    ...(added_us.median === 0
      ? []
      : [added_us.median.toFixed(1), interval(added_us, 1), added_share.median.toFixed(2)]),
  ]);
  const heading = `CPU of Envoy per request: ${name}${workers === 1 ? "" : `, ${workers} workers`}`;
  const added = ratios.map(({ variant, to, added_ratio }) => [
    `${variant} / ${to}`,
    added_ratio.median.toFixed(2),
    interval(added_ratio, 2),
  ]);
  const ofChunks = chunks === null ? [] : variants.filter(({ added_us }) => added_us.median !== 0);
  const perChunk = ofChunks.map(({ name: variant, added_us: { median, low, high } }) => [
    variant,
    (median / (chunks ?? 1)).toFixed(2),
    interval({ median, low: low / (chunks ?? 1), high: high / (chunks ?? 1) }, 2),
  ]);
  return [
    table([[heading, "µs", "added µs", "", "share"], ...rows], "right"),
    ...(perChunk.length === 0 ? [] : [table([["added, divided by the chunks", "µs", ""], ...perChunk], "right")]),
    ...(added.length === 0 ? [] : [table([["added, in relation", "", ""], ...added], "right")]),
  ].join("\n\n");
}

function drawLatency({ rate_per_sec, variants, p99_differences }: LatencyPart): string {
  const rows = variants.map(({ name, latency_us, added_us, highest_rate_per_sec }, index) => [
    name,
    ...(["p50", "p90", "p99", "p999"] as const).map((percentile) =>
      (index === 0 ? latency_us : added_us)[percentile].median.toFixed(0),
    ),
    highest_rate_per_sec?.toFixed(0) ?? "",
  ]);
  const heading = `latency at ${rate_per_sec.toLocaleString("en")} requests a second, µs; added, but in the first row`;
  const differences = p99_differences.map(({ variant, to, difference_us }) => [
    `${variant} - ${to}`,
    difference_us.median.toFixed(0),
    interval(difference_us, 0),
  ]);
  return [
    table([[heading, "p50", "p90", "p99", "p99.9", "highest rate"], ...rows], "right"),
    ...(differences.length === 0 ? [] : [table([["difference of p99, µs", "", ""], ...differences], "right")]),
  ].join("\n\n");
}

function drawInstructions({ variants, ratios }: InstructionsPart): string {
  const rows = variants.map(({ name, instructions, added_instructions, compiled_instructions }) => [
    name,
    thousands(instructions),
    thousands(added_instructions),
    thousands(compiled_instructions),
  ]);
  const heading = "instructions of Envoy per request: small requests, HTTP/1.1";
  const added = ratios.map(({ variant, to, added_ratio }) => [`${variant} / ${to}`, added_ratio.toFixed(2)]);
  return [
    table([[heading, "thousand", "added", "in compiled code"], ...rows], "right"),
    ...(added.length === 0 ? [] : [table([["added, in relation", ""], ...added], "right")]),
  ].join("\n\n");
}

function drawMemory(results: Report["memory"]): string {
  const rows = results.map((result) => [
    result.name,
    result.start_ms.toFixed(0),
    result.start_cpu_ms.toFixed(0),
    mebibytes(result.envoy_start_bytes),
    mebibytes(result.envoy_end_bytes),
    kibibytes(result.vm_start_bytes),
    kibibytes(result.vm_end_bytes),
    result.vm_growth_bytes_per_request?.toFixed(2) ?? "-",
  ]);
  const requests = (results[0]?.requests ?? 0).toLocaleString("en");
  const heading = [
    "start and memory, one worker",
    "start ms",
    "CPU ms",
    "Envoy MiB",
    `after ${requests}`,
    "VM KiB",
    "after",
    "grown, bytes a request",
  ];
  return table([heading, ...rows], "right");
}

function drawReload(results: Report["reload"]): string {
  const rows = results.map(({ name, reload_ms, failed }) => [
    name,
    reload_ms.median.toFixed(0),
    interval(reload_ms, 0),
    String(failed),
  ]);
  return table([["a new configuration, until it answers", "ms", "", "failed requests"], ...rows], "right");
}

function drawBurst(results: Report["burst"]): string {
  const rows = results.map(({ name, requests, answered, after_token_ms, token_fetches }) => [
    name,
    `${answered} of ${requests}`,
    token_fetches.median.toFixed(0),
    after_token_ms.median.toFixed(0),
  ]);
  return table(
    [["burst at a cold token", "answered", "tokens fetched", "ms from the first token on"], ...rows],
    "right",
  );
}

function drawHostCalls(costs: Report["host_calls"]): string {
  const rows = costs.map(({ name, cost_us }) => [name, cost_us.median.toFixed(2), interval(cost_us, 2)]);
  return table([["each costs, µs of CPU", "", ""], ...rows], "right");
}

function footer({ machine, versions, generator, skipped, warnings }: Report): string {
  const { cpu, cores, system } = machine;
  return [
    `hopgate ${versions.hopgate}, Envoy ${versions.envoy}, ${cpu}, ${cores} cores, ${system}. Medians, and 95 % intervals.` +
      (generator === null ? "" : ` Fixed rate: sent by ${generator}.`),
    ...skipped.map(({ what, why }) => `Not measured: ${what}: ${why}`),
    ...warnings.map((warning) => `Warning: ${warning}`),
  ].join("\n");
}

function interval({ low, high }: Estimate, decimals: number): string {
  return `${low.toFixed(decimals)} to ${high.toFixed(decimals)}`;
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(1);
}

function thousands(count: number): string {
  return (count / 1000).toFixed(1);
}

function kibibytes(bytes: number | null): string {
  return bytes === null ? "-" : (bytes / 1024).toFixed(0);
}

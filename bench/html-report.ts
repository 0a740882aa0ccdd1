import type { CpuPart, InstructionsPart, LatencyPart, Report } from "./report.js";
import { type Axis, barPlot, escape, linearAxis, linePlot, logAxis, type Series } from "./svg.js";
import { drawReport } from "./text-report.js";

/** The report as one page that needs nothing else: plots, and below them what the terminal shows. */
export function drawHtml(report: Report): string {
  const { machine, versions, started_at } = report;
  const plots = [
    ...report.cpu.map(costPlot),
    ...report.cpu.flatMap(routesPlot),
    ...(report.latency === null ? [] : [latencyPlot(report.latency)]),
    ...(report.instructions === null ? [] : [instructionsPlot(report.instructions)]),
    ...(report.host_calls.length === 0 ? [] : [hostCallsPlot(report.host_calls)]),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What hopgate costs</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What hopgate costs</h1>
<p>hopgate ${escape(versions.hopgate)}, Envoy ${escape(versions.envoy)}, ${escape(machine.cpu)}, ${machine.cores} cores,
${escape(machine.system)}, ${escape(started_at)}. Medians, with 95 % intervals.</p>
${report.warnings.map((warning) => `<p class="warning" role="alert">${escape(warning)}</p>`).join("\n")}
${plots.join("\n")}
<h2>All figures</h2>
<pre>${escape(drawReport(report))}</pre>
</main>
</body>
</html>
`;
}

function costPlot({ name, workers, variants }: CpuPart): string {
  const bars = variants
    .filter(({ added_us }) => added_us.median !== 0)
    .map(({ name: variant, added_us }) => ({ name: variant, value: added_us.median, interval: added_us }));
  const title = `CPU added per request: ${name}${workers === 1 ? "" : `, ${workers} workers`}`;
  return barPlot(title, "µs", bars);
}

/** Where there are variants with more routes than ten: `hopgate-route-1000` beside `hopgate-route`. */
function routesPlot({ variants }: CpuPart): readonly string[] {
  const series = new Map<string, { x: number; y: number }[]>();
  for (const { variant, added_us } of variants) {
    const [, job = "", routes = "10"] = /^hopgate-(route|inject)(?:-(\d+))?$/.exec(variant) ?? [];
    if (job === "") continue;
    const points = series.get(job) ?? [];
    series.set(
      job,
      [...points, { x: Number(routes), y: added_us.median }].sort((a, b) => a.x - b.x),
    );
  }
  const lines = [...series].map(([job, points]): Series => ({
    name: job === "inject" ? "route + inject" : job,
    points,
  }));
  if (!lines.some(({ points }) => points.length > 1)) return [];
  const x = logAxis(
    "routes",
    [10, 100, 1000].map((value) => ({ value, label: value.toLocaleString("en") })),
  );
  return [linePlot("CPU added per request, by the number of routes", x, linearAxis("µs", greatest(lines)), lines)];
}

/** By how rare a latency is: equal steps from 9 of 10 to 99 of 100 and on. */
function latencyPlot({ rate_per_sec, variants }: LatencyPart): string {
  const SHARES = [0.5, 0.9, 0.99, 0.999, 0.9999];
  const x = logAxis(
    "share of the requests that took no longer",
    SHARES.map((share) => ({ value: 1 / (1 - share), label: `${(share * 100).toFixed(2).replace(/\.?0+$/, "")} %` })),
  );
  const lines = variants.map(({ name, distribution }): Series => {
    const points = distribution.filter(({ share }) => share >= 0.5);
    return { name, points: points.map(({ share, latency_us }) => ({ x: 1 / (1 - share), y: latency_us })) };
  });
  const title = `Latency at ${rate_per_sec.toLocaleString("en")} requests a second`;
  return linePlot(title, x, microseconds(lines), lines);
}

function microseconds(lines: readonly Series[]): Axis {
  return linearAxis("µs", greatest(lines));
}

function instructionsPlot({ variants }: InstructionsPart): string {
  const bars = variants.map(({ name, added_instructions }) => ({ name, value: added_instructions / 1000 }));
  return barPlot("Instructions added per request", "thousand", bars);
}

function hostCallsPlot(costs: Report["host_calls"]): string {
  const bars = costs.map(({ name, cost_us }) => ({ name, value: cost_us.median, interval: cost_us }));
  return barPlot("CPU of each call of the host", "µs", bars);
}

function greatest(lines: readonly Series[]): number {
  return Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)), 0);
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --faint: #d9dde2; --soft: #5b6570;
  --c0: #2f6fb3; --c1: #b3541e; --c2: #2d8a57; --c3: #8a4fae; --c4: #a3790b; --c5: #b03060; --c6: #3b8ea5; --c7: #666; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #14171a; --faint: #343a40; --soft: #9aa4ae;
  --c0: #6aa9e9; --c1: #e08b55; --c2: #63bf8d; --c3: #bd8ddb; --c4: #d3ab4a; --c5: #e27a9f; --c6: #75c3d8; --c7: #aaa; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 920px; margin: 0 auto; padding: 24px 16px 64px; }
figure { margin: 32px 0; }
figcaption { font-weight: 600; margin-bottom: 8px; }
svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: var(--ink); }
svg .axis { fill: var(--soft); }
svg .grid { stroke: var(--faint); fill: none; }
svg .interval { stroke: var(--ink); fill: none; }
svg .line { fill: none; stroke: var(--colour); stroke-width: 2; }
svg circle { fill: var(--colour); }
svg .bar { fill: var(--colour); opacity: 0.75; }
svg .name { fill: var(--colour); font-weight: 600; }
${Array.from({ length: 8 }, (_, index) => `.s${index} { --colour: var(--c${index}); }`).join(" ")}
pre { overflow-x: auto; font: 12px/1.45 ui-monospace, monospace; }
.warning { border-left: 4px solid var(--c1); padding-left: 12px; }
`;

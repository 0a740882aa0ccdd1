/** What `hopgate up` says on a terminal. */

import { relative } from "node:path";

import type { Mesh, Route } from "../config/model.js";
import type { LocatedEnvoy } from "../envoy/locate.js";
import { validatorsOn } from "../local/callers.js";
import { checkersOf, exampleHost, injectorOf } from "../local/demonstrations.js";
import type { Sender, Shown } from "../local/requests.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { drawWaterfall, styleFor } from "../trace/waterfall.js";

/** A path as short as a person would write it. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

export function heading({ mesh, local }: Sender, { version }: LocatedEnvoy, path: string): string {
  const gateways = local.gateways.map(({ hop, port }) => `${hop} on https://127.0.0.1:${port}`);
  const waypoints = [...mesh.hops.values()].filter(({ kind }) => kind === "waypoint").map(({ name }) => name);
  return [
    `${mesh.name} (${shownPath(path)}) runs on Envoy ${version}: ${gateways.join(", ")}${waypoints.length > 0 ? `; waypoint ${waypoints.join(", ")}` : ""}`,
    "",
  ].join("\n");
}

export function routeTable(mesh: Mesh): string {
  const rows = mesh.routes.flatMap((route) =>
    route.hosts.map((host) => [host, armsOf(route), hopsOf(checkersOf(mesh, route)), hopsOf(injectorsOf(mesh, route))]),
  );
  return table([["HOST", "BACKEND", "CALLERS CHECKED BY", "ID TOKEN ADDED BY"], ...rows]);
}

function armsOf({ arms }: Route): string {
  const [only, ...others] = arms;
  if (only !== undefined && others.length === 0) return only.backend;
  return arms.map(({ backend, weight }) => `${backend} ${String(weight)} %`).join(", ");
}

function injectorsOf(mesh: Mesh, route: Route): readonly string[] {
  return route.arms.flatMap(({ backend: name }) => {
    const backend = mesh.backends.get(name);
    return (backend && injectorOf(mesh, backend)) ?? [];
  });
}

function hopsOf(hops: readonly string[]): string {
  return hops.length === 0 ? "-" : [...new Set(hops)].join(" and ");
}

/** A request that was let in: where its time went. */
export function drawShown({ demonstration, url, status, trace, problem }: Shown, io: Io): string {
  const paint = colours(io);
  const title = paint("bold", demonstration.title);
  const picture = drawWaterfall(
    { method: demonstration.method, url, status, backend: demonstration.backend },
    trace,
    styleFor(io),
  );
  return [title, picture, ...(problem === undefined ? [] : [paint("red", `FAILED: ${problem}`)])].join("\n");
}

/** Who is let in where callers are checked, and who answered those who are not; undefined where nobody checks. */
export function callersTable(shown: readonly Shown[], io: Io): string | undefined {
  const paint = colours(io);
  const checked = shown.filter(({ demonstration }) => demonstration.validators.length > 0 && !demonstration.isStream);
  const hosts = new Map<string, string[][]>();
  for (const { demonstration, caller, status, code, trace, problem } of checked) {
    const { host, refusal } = demonstration;
    const by = refusal === undefined ? "" : ` ${code ?? ""}, from ${trace.hops.at(-1)?.name ?? "nobody"}`;
    const wrong = problem === undefined ? "" : paint("red", ` FAILED: ${problem}`);
    const row = [`  ${caller ?? "without a token"}`, `${status}${by}${wrong}`];
    hosts.set(host, [...(hosts.get(host) ?? []), row]);
  }
  if (hosts.size === 0) return undefined;
  return [...hosts].map(([host, rows]) => `${paint("bold", `callers of ${host}`)}\n${table(rows)}`).join("\n\n");
}

export function verdict(shown: readonly Shown[], ok: boolean): string {
  const failed = shown.filter(({ problem }) => problem !== undefined).length;
  if (ok) return `All ${String(shown.length)} demonstrations succeeded.`;
  if (shown.length === 0) return "No route of this hopgate.yaml leads to a single backend, so nothing could be shown.";
  return `${String(failed)} of ${String(shown.length)} demonstrations failed.`;
}

/** Requests to copy: with curl for each route, and with hopgate for one. No token is printed: curl reads it from a file. */
export function tryLines({ mesh, local }: Sender): string {
  const { port } = local.gateways[0];
  const requests = mesh.routes.flatMap((route) => {
    const host = exampleHost(route);
    if (host === undefined) return [];
    const validators = validatorsOn(mesh, route);
    const credentials = validators.length === 0 ? "" : ` -H @${local.callers.fileFor(validators)}`;
    const flags = `--cacert ${local.caPath} --resolve ${host}:${port}:127.0.0.1${credentials}`;
    return [{ url: `https://${host}:${port}/healthz`, flags }];
  });
  const { key } = mesh.timing;
  const curl = requests.map(
    ({ url, flags }) => `  curl -i ${flags}${key === undefined ? "" : ` -H 'x-hopgate-trace: ${key}'`} ${url}`,
  );
  const last = requests.at(-1);
  const trace =
    last === undefined ? [] : [`  hopgate trace ${last.url} ${last.flags}${key === undefined ? "" : ` --key ${key}`}`];
  return ["Try it:", ...curl, ...trace].join("\n");
}

import { randomBytes } from "node:crypto";
import { relative } from "node:path";

import { loadMesh } from "../config/load.js";
import type { Mesh, Route } from "../config/model.js";
import { locateFuncE } from "../envoy/func-e.js";
import { type LocatedEnvoy, locateEnvoy } from "../envoy/locate.js";
import { Failure, UsageError } from "../errors.js";
import {
  type Demonstration,
  demonstrationsFor,
  exampleHost,
  injectorOf,
  soleBackend,
} from "../local/demonstrations.js";
import { type LocalMesh, startLocalMesh } from "../local/mesh.js";
import { send, type Sender, type Shown, show, traceOf, urlAt } from "../local/requests.js";
import { standInKind } from "../local/endpoints.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { progress } from "../output/progress.js";
import { table } from "../output/table.js";
import { wasmPath } from "../package-root.js";
import { keepAlive } from "../trace/client.js";
import { comparePaths, type PathSummary, summarise } from "../trace/summary.js";
import { drawWaterfall, styleFor } from "../trace/waterfall.js";
import { configPath } from "./config-path.js";
import { onFileChange } from "./reload.js";

export interface UpOptions {
  readonly config?: string | undefined;
  /** End after the demonstrations. */
  readonly once?: boolean | undefined;
  readonly output: "text" | "json";
  readonly port: number;
  readonly backend: ReadonlyMap<string, URL>;
  readonly envoyPath?: string | undefined;
  /** Run Envoy through func-e: the one on PATH (true), or this file. */
  readonly funcE?: string | true | undefined;
}

/** Requests for the comparison of the two paths, each. */
const COMPARED_REQUESTS = 100;

/**
 * Runs a hopgate.yaml on this machine, shows what it does, and stays up until `signal` aborts; with `once` it ends.
 * Returns the exit code: 0 only if every demonstration succeeded.
 */
export async function up(options: UpOptions, io: Io, signal: AbortSignal): Promise<number> {
  const path = configPath(options.config);
  const mesh = observable(await loadMesh(path));
  const say = (line: string): void => void io.stderr.write(`${line}\n`);
  const envoy = await locateEnvoy({ envoyPath: options.envoyPath, env: io.env, install: true, notify: say });
  const funcE = options.funcE && (await locateFuncE(options.funcE === true ? undefined : options.funcE, envoy, io.env));
  const steps = progress(io);
  const crash = new AbortController();
  const local = await startLocalMesh({
    mesh,
    envoyPath: envoy.path,
    funcE: funcE || undefined,
    wasmPath: wasmPath(),
    port: options.port,
    replacements: options.backend,
    onProgress: (text) => steps.step(text),
    onCrash: (failure) => crash.abort(failure),
  });
  try {
    const sender = { local, mesh, signal: AbortSignal.any([signal, crash.signal]) };
    const report = await demonstrate(options, { sender, envoy, path, io, step: (text) => steps.step(text) });
    steps.done();
    if (options.once !== true) await stayUp(sender, path, io, options.output);
    return report.ok ? 0 : 1;
  } catch (error) {
    if (crash.signal.aborted) throw crash.signal.reason;
    if (signal.aborted) return 130;
    throw error;
  } finally {
    steps.done();
    await local.close();
  }
}

/** The mesh with its time in sight: a local mesh that tells nobody where the time goes would show nothing. */
function observable(mesh: Mesh): Mesh {
  if (mesh.timing.expose !== "never") return mesh;
  return { ...mesh, timing: { expose: "trace", key: randomBytes(8).toString("hex") } };
}

interface Surroundings {
  readonly sender: Sender;
  readonly envoy: LocatedEnvoy;
  /** The hopgate.yaml that runs. */
  readonly path: string;
  readonly io: Io;
  readonly step: (text: string) => void;
}

async function demonstrate(options: UpOptions, surroundings: Surroundings): Promise<{ readonly ok: boolean }> {
  const { sender, io, step } = surroundings;
  const isText = options.output === "text";
  const print = (text: string): void => void (isText && io.stdout.write(`${text}\n`));
  print(heading(surroundings));
  print(routeTable(sender));
  const shown: Shown[] = [];
  for (const demonstration of await demonstrations(sender, options)) {
    step(demonstration.title);
    const result = await show(sender, demonstration);
    shown.push(result);
    step("");
    print(`\n${drawShown(result, io)}`);
  }
  step(`comparing the paths over ${String(COMPARED_REQUESTS)} requests each`);
  const summaries = await compare(sender);
  step("");
  if (summaries.length > 0) print(`\n${comparePaths(summaries)}`);
  const ok = shown.length > 0 && shown.every(({ problem }) => problem === undefined);
  print(`\n${verdict(shown, ok)}`);
  if (!isText) io.stdout.write(`${JSON.stringify(reportOf(surroundings, shown, summaries, ok), null, 2)}\n`);
  return { ok };
}

function heading({ sender, envoy, path }: Surroundings): string {
  const gateways = sender.local.gateways.map(({ hop, port }) => `${hop} on https://127.0.0.1:${String(port)}`);
  const waypoints = [...sender.mesh.hops.values()].filter(({ kind }) => kind === "waypoint").map(({ name }) => name);
  return [
    `${sender.mesh.name} (${shown(path)}) runs on Envoy ${envoy.version}: ${gateways.join(", ")}${waypoints.length > 0 ? `; waypoint ${waypoints.join(", ")}` : ""}`,
    "",
  ].join("\n");
}

/** As short as a person would write it. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : short;
}

function routeTable({ mesh }: Sender): string {
  const rows = mesh.routes.flatMap((route) => route.hosts.map((host) => [host, armsOf(route), tokenOf(mesh, route)]));
  return table([["HOST", "BACKEND", "ID TOKEN"], ...rows]);
}

function armsOf({ arms }: Route): string {
  const [only, ...others] = arms;
  if (only !== undefined && others.length === 0) return only.backend;
  return arms.map(({ backend, weight }) => `${backend} ${String(weight)} %`).join(", ");
}

function tokenOf(mesh: Mesh, route: Route): string {
  const injectors = route.arms.flatMap(({ backend: name }) => {
    const backend = mesh.backends.get(name);
    return (backend && injectorOf(mesh, backend)) ?? [];
  });
  return injectors.length === 0 ? "-" : `added by ${[...new Set(injectors)].join(" and ")}`;
}

/** The model that the first chat service has: a real one in the place of the stand-in knows only its own. */
async function demonstrations(sender: Sender, options: UpOptions): Promise<readonly Demonstration[]> {
  const { mesh } = sender;
  const chat = mesh.routes.find((route) => {
    const backend = soleBackend(mesh, route);
    return backend !== undefined && standInKind(backend) === "chat";
  });
  const host = chat && exampleHost(chat);
  const model = host === undefined ? "" : await firstModel(sender, host);
  return demonstrationsFor(mesh, new Set(options.backend.keys()), model);
}

async function firstModel(sender: Sender, host: string): Promise<string> {
  const { status, body } = await send(sender, host, "/v1/models");
  if (status !== 200) return "default";
  const { data } = JSON.parse(body) as { data?: { id?: string }[] };
  return data?.[0]?.id ?? "default";
}

function drawShown({ demonstration, url, status, trace, problem }: Shown, io: Io): string {
  const paint = colours(io);
  const title = paint("bold", demonstration.title);
  const picture = drawWaterfall(
    { method: demonstration.method, url, status, backend: demonstration.backend },
    trace,
    styleFor(io),
  );
  return [title, picture, ...(problem === undefined ? [] : [paint("red", `FAILED: ${problem}`)])].join("\n");
}

/** The same light request on the first path of each kind, on a kept connection. */
async function compare(sender: Sender): Promise<readonly PathSummary[]> {
  const { mesh, local } = sender;
  const hostTo = (kind: "kubernetes" | "cloudRun"): string | undefined => {
    const route = mesh.routes.find((candidate) => soleBackend(mesh, candidate)?.kind === kind);
    return route && exampleHost(route);
  };
  const paths = [
    { name: "in-cluster", host: hostTo("kubernetes") },
    { name: "Cloud Run", host: hostTo("cloudRun") },
  ];
  const summaries: PathSummary[] = [];
  for (const { name, host } of paths) {
    if (host === undefined) continue;
    const agent = keepAlive(urlAt(local, host, "/"));
    try {
      const traces = [];
      for (let i = 0; i < COMPARED_REQUESTS; i++) {
        traces.push(traceOf(mesh, await send({ ...sender, agent }, host, "/healthz")));
      }
      summaries.push(summarise(name, traces));
    } finally {
      agent.destroy();
    }
  }
  return summaries;
}

function verdict(shown: readonly Shown[], ok: boolean): string {
  const failed = shown.filter(({ problem }) => problem !== undefined).length;
  if (ok) return `All ${String(shown.length)} demonstrations succeeded.`;
  if (shown.length === 0) return "No route of this hopgate.yaml leads to a single backend, so nothing could be shown.";
  return `${String(failed)} of ${String(shown.length)} demonstrations failed.`;
}

function reportOf(
  { sender, envoy, path }: Surroundings,
  shown: readonly Shown[],
  comparison: readonly PathSummary[],
  ok: boolean,
) {
  const { mesh, local } = sender;
  return {
    ok,
    mesh: mesh.name,
    config: path,
    envoy: { version: envoy.version, path: envoy.path },
    ca_path: local.caPath,
    gateways: local.gateways.map(({ hop, port }) => ({ hop, url: `https://127.0.0.1:${String(port)}` })),
    routes: mesh.routes.map(({ hosts, arms }) => ({ hosts, to: arms })),
    demonstrations: shown.map(({ demonstration, url, status, trace, problem }) => ({
      title: demonstration.title,
      backend: demonstration.backend,
      method: demonstration.method,
      url,
      status,
      ok: problem === undefined,
      ...(problem !== undefined && { problem }),
      trace,
    })),
    comparison,
  };
}

/** Serves until the signal of `sender` aborts. Meanwhile a change of the file goes live, or is refused. */
async function stayUp(sender: Sender, path: string, io: Io, output: UpOptions["output"]): Promise<void> {
  const { local, signal } = sender;
  if (output === "text") {
    io.stdout.write(
      `\n${curlLines(sender)}\n\nRunning; changes of ${path} go live. Ctrl-C ends it and removes everything.\n`,
    );
  }
  onFileChange(path, signal, () => reload(local, path, io));
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  if (signal.reason instanceof Failure) throw signal.reason;
}

async function reload(local: LocalMesh, path: string, io: Io): Promise<void> {
  try {
    await local.update(observable(await loadMesh(path)));
    io.stderr.write(`${path}: the change is live.\n`);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof Failure)) throw error;
    const fix = error.fix === undefined ? "" : `${error.fix}\n`;
    io.stderr.write(`${error.message}\n${fix}${path}: refused; what ran before serves on.\n`);
  }
}

function curlLines({ mesh, local }: Sender): string {
  const { port } = local.gateways[0];
  const key = mesh.timing.key === undefined ? "" : ` -H 'x-hopgate-trace: ${mesh.timing.key}'`;
  const lines = mesh.routes.flatMap((route) => {
    const host = exampleHost(route);
    if (host === undefined) return [];
    return [
      `  curl -i --cacert ${local.caPath} --resolve ${host}:${String(port)}:127.0.0.1${key} https://${host}:${String(port)}/healthz`,
    ];
  });
  return ["Try it:", ...lines].join("\n");
}

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

import type { Mesh, Route } from "../config/model.js";
import { locateFuncE } from "../envoy/func-e.js";
import { type LocatedEnvoy, locateEnvoy } from "../envoy/locate.js";
import { Failure, UsageError } from "../errors.js";
import { validatorsOn } from "../local/callers.js";
import { type Demonstration, demonstrationsFor, exampleHost, soleBackend } from "../local/demonstrations.js";
import { startLocalMesh } from "../local/mesh.js";
import { send, type Sender, type Shown, show, traceOf, urlAt } from "../local/requests.js";
import { standInKind } from "../local/endpoints.js";
import type { Io } from "../output/io.js";
import { progress } from "../output/progress.js";
import { wasmPath } from "../package-root.js";
import { keepAlive } from "../trace/client.js";
import { comparePaths, type PathSummary, summarise } from "../trace/summary.js";
import { configPath } from "./config-path.js";
import { loadChecked } from "./preflight.js";
import { followFile } from "./reload.js";
import { callersTable, drawShown, heading, routeTable, shownPath, tryLines, verdict } from "./up-text.js";

export interface UpOptions {
  readonly config?: string | undefined;
  /** End after the demonstrations. */
  readonly once?: boolean | undefined;
  readonly output: "text" | "json";
  readonly port: number;
  readonly firstTokenMs: number;
  readonly tokenGapMs: number;
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
  const text = readTextOf(path);
  const key = randomBytes(8).toString("hex");
  const load = async (): Promise<Mesh> => observable(await loadChecked(path), key);
  const mesh = await load();
  const say = (line: string): void => void io.stderr.write(`${line}\n`);
  const envoy = await locateEnvoy({ envoyPath: options.envoyPath, env: io.env, install: true, notify: say, signal });
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
    chat: { timeToFirstTokenMs: options.firstTokenMs, tokenGapMs: options.tokenGapMs },
    onProgress: (text) => {
      signal.throwIfAborted(); // between two steps nothing is half done
      steps.step(text);
    },
    onCrash: (failure) => crash.abort(failure),
  });
  try {
    const sender = { local, mesh, signal: AbortSignal.any([signal, crash.signal]) };
    const report = await demonstrate(options, { sender, envoy, path, io, step: (text) => steps.step(text) });
    steps.done();
    if (options.once !== true) await stayUp({ sender, path, text, load, io, output: options.output });
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
function observable(mesh: Mesh, key: string): Mesh {
  return mesh.timing.expose === "never" ? { ...mesh, timing: { expose: "trace", key } } : mesh;
}

/** Empty where it cannot be read: reading it for use says why. */
function readTextOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
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
  const { sender, envoy, path, io, step } = surroundings;
  const isText = options.output === "text";
  const print = (text: string): void => {
    step(""); // what is printed must not stand behind what was being done
    if (isText) io.stdout.write(`${text}\n`);
  };
  print(heading(sender, envoy, path));
  print(routeTable(sender.mesh));
  const shown: Shown[] = [];
  for (const demonstration of await demonstrations(sender, options)) {
    step(demonstration.title);
    const result = await show(sender, demonstration);
    shown.push(result);
    if (demonstration.refusal === undefined) print(`\n${drawShown(result, io)}`);
  }
  const callers = callersTable(shown, io);
  if (callers !== undefined) print(`\n${callers}`);
  step(`comparing the paths over ${COMPARED_REQUESTS} requests each`);
  const summaries = await compare(sender);
  if (summaries.length > 0) print(`\n${comparePaths(summaries)}`);
  const ok = shown.length > 0 && shown.every(({ problem }) => problem === undefined);
  print(`\n${verdict(shown, ok)}`);
  if (!isText) io.stdout.write(`${JSON.stringify(reportOf(surroundings, shown, summaries, ok), null, 2)}\n`);
  return { ok };
}

/** The model that the first chat service has: a real one in the place of the stand-in knows only its own. */
async function demonstrations(sender: Sender, options: UpOptions): Promise<readonly Demonstration[]> {
  const { mesh } = sender;
  const chat = mesh.routes.find((route) => {
    const backend = soleBackend(mesh, route);
    return backend !== undefined && standInKind(backend) === "chat";
  });
  const model = chat === undefined ? "" : await firstModel(sender, chat);
  return demonstrationsFor(mesh, options.backend, model);
}

async function firstModel(sender: Sender, route: Route): Promise<string> {
  const host = exampleHost(route) ?? "";
  const { status, body } = await send(sender, host, "/v1/models", await credentialsAt(sender, route));
  if (status !== 200) return "default";
  try {
    const { data } = JSON.parse(body) as { data?: { id?: string }[] };
    return data?.[0]?.id ?? "default";
  } catch {
    return "default"; // no OpenAI-compatible service: its answer to the request will show it
  }
}

/** What lets a request in where callers of the route are checked. */
async function credentialsAt({ local, mesh }: Sender, route: Route): Promise<Pick<Demonstration, "headers">> {
  return { headers: await local.callers.headersFor(validatorsOn(mesh, route), "allowed") };
}

/** The same light request on the first path of each kind, on a kept connection. */
async function compare(sender: Sender): Promise<readonly PathSummary[]> {
  const { mesh, local } = sender;
  const routeTo = (kind: "kubernetes" | "cloudRun"): Route | undefined =>
    mesh.routes.find((candidate) => soleBackend(mesh, candidate)?.kind === kind);
  const paths = [
    { name: "in-cluster", route: routeTo("kubernetes") },
    { name: "Cloud Run", route: routeTo("cloudRun") },
  ];
  const summaries: PathSummary[] = [];
  for (const { name, route } of paths) {
    const host = route && exampleHost(route);
    if (route === undefined || host === undefined) continue;
    const credentials = await credentialsAt(sender, route);
    const agent = keepAlive(urlAt(local, host, "/"));
    try {
      const traces = [];
      for (let i = 0; i < COMPARED_REQUESTS; i++) {
        traces.push(traceOf(mesh, await send({ ...sender, agent }, host, "/healthz", credentials)));
      }
      summaries.push(summarise(name, traces));
    } finally {
      agent.destroy();
    }
  }
  return summaries;
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
    gateways: local.gateways.map(({ hop, port }) => ({ hop, url: `https://127.0.0.1:${port}` })),
    routes: mesh.routes.map((route) => {
      const validators = validatorsOn(mesh, route);
      return {
        hosts: route.hosts,
        to: route.arms,
        validators: validators.map(({ name }) => name),
        /** A file with the headers of a caller that is let in (`curl -H @FILE`), for as long as the mesh runs. */
        headers_path: validators.length === 0 ? null : local.callers.fileFor(validators),
      };
    }),
    demonstrations: shown.map(({ demonstration, caller, url, status, code, trace, problem }) => ({
      title: demonstration.title,
      backend: demonstration.backend,
      /** Whose token went with it; null: none did. */
      caller: caller ?? null,
      method: demonstration.method,
      url,
      status,
      error_code: code ?? null,
      ok: problem === undefined,
      ...(problem !== undefined && { problem }),
      trace,
    })),
    comparison,
  };
}

interface Running {
  readonly sender: Sender;
  readonly path: string;
  /** What the file said when it was loaded. */
  readonly text: string;
  readonly load: () => Promise<Mesh>;
  readonly io: Io;
  readonly output: UpOptions["output"];
}

/** Serves until the signal of `sender` aborts. Meanwhile a change of the file goes live, or is refused. */
async function stayUp(running: Running): Promise<void> {
  const { sender, path, text, io, output } = running;
  const { signal } = sender;
  if (output === "text") {
    io.stdout.write(
      `\n${tryLines(sender)}\n\nRunning; changes of ${shownPath(path)} go live. Ctrl-C ends it and removes everything.\n`,
    );
  }
  await followFile(path, text, signal, () => reload(running));
  if (signal.reason instanceof Failure) throw signal.reason;
}

async function reload({ sender, path, load, io }: Running): Promise<void> {
  const { local, signal } = sender;
  try {
    await local.update(await load(), signal);
    io.stderr.write(`${shownPath(path)}: the change is live.\n`);
  } catch (error) {
    if (signal.aborted) return;
    const fix =
      (error instanceof UsageError || error instanceof Failure) && error.fix !== undefined ? `${error.fix}\n` : "";
    const reason = error instanceof Error ? error.message : String(error);
    io.stderr.write(`${reason}\n${fix}${shownPath(path)}: refused; what ran before serves on.\n`);
  }
}

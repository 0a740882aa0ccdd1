import { mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { Failure } from "../errors.js";
import type { FuncE } from "./func-e.js";
import { type Admin, adminAt, type SocketAddress } from "./admin.js";
import type { Keeper, Program, ProgramEnd, RunningProgram } from "./keeper.js";
import { explainEnd, explainRefusal, withLog } from "./log.js";

export interface EnvoyOptions {
  readonly keeper: Keeper;
  /** Path of Envoy's binary. */
  readonly envoyPath: string;
  /** Runs Envoy in the place of hopgate; then it is its choice which. */
  readonly funcE?: FuncE | undefined;
  /** The hop that this Envoy is; names it in messages. */
  readonly hop: string;
  /** The bootstrap. It must have an `admin`; that and every listener may bind port 0. */
  readonly configPath: string;
  /** An existing folder, of this Envoy alone: `log/envoy.log` and `admin-address` are written there. */
  readonly dir: string;
  /** Worker threads; 2 unless given, so that what workers share is shared as in production. */
  readonly concurrency?: number;
  /** As `--log-level`; `warning` unless given. Below `info`, Envoy logs headers, tokens included. */
  readonly logLevel?: string;
  /** As `--component-log-level`, such as `wasm:info`. */
  readonly componentLogLevel?: string;
  /** Bound on the time until Envoy is LIVE; 30 s unless given. */
  readonly readyTimeoutMs?: number;
  /** Called once if Envoy ends after the start without having been stopped, or its keeper closed. */
  onExit?(failure: Failure): void;
}

export interface RunningEnvoy {
  readonly hop: string;
  readonly pid: number;
  readonly admin: Admin;
  /** Where the listeners really listen, by their names. */
  readonly listeners: ReadonlyMap<string, SocketAddress>;
  readonly logPath: string;
  /** SIGTERM; what still runs 5 s later is killed. May be called twice. */
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 20;
const STOP_TIMEOUT_MS = 5000;
const MAX_LOG_READ = 64 * 1024;

const WORKERS_STARTED = "^listener_manager\\.workers_started$";

/** Counters that are above zero where Envoy is LIVE but without a part of its configuration (LDS, CDS, RDS, ECDS). */
const REFUSED = "\\.(update_rejected|update_failure|listener_create_failure)$";

/**
 * Starts an Envoy and waits until it serves all of its configuration.
 *
 * A listener of Envoy's shares its port with others that do the same (SO_REUSEPORT), so that a second Envoy on the same
 * port is not refused but gets half of the connections. Where the port is not 0, set `enable_reuse_port: false`.
 *
 * @throws Failure if it ends before, refuses a part of its configuration, or is not LIVE in time. It is not left running.
 */
export async function startEnvoy(options: EnvoyOptions): Promise<RunningEnvoy> {
  const { hop, dir } = options;
  // In a folder of its own. Envoy watches the folders of its discovery files; at level debug it would log each write of its log.
  const logPath = join(dir, "log", "envoy.log");
  const addressPath = join(dir, "admin-address");
  await mkdir(dirname(logPath), { recursive: true });
  await rm(addressPath, { force: true });
  const program = await runProgram(options, logPath, addressPath);
  try {
    const admin = await untilLive(options, program, addressPath, logPath);
    await refuseHalfConfigured(hop, admin, logPath);
    const listeners = await admin.listeners();
    let stopping = false;
    void program.ended.then(async (end) => {
      if (!stopping && end.because !== "closed") options.onExit?.(explainEnd(hop, end, await logTail(logPath)));
    });
    const stop = (): Promise<void> => {
      stopping = true;
      return stopProgram(program);
    };
    return { hop, pid: program.pid, admin, listeners, logPath, stop };
  } catch (error) {
    await stopProgram(program);
    throw error;
  }
}

async function runProgram(options: EnvoyOptions, logPath: string, addressPath: string): Promise<RunningProgram> {
  const { envoyPath, funcE, configPath, dir, componentLogLevel } = options;
  const args = [
    ["--config-path", configPath],
    ["--admin-address-path", addressPath],
    // Hot restart wants shared memory and sockets under a base id that is the host's only; nothing here restarts hot.
    ["--disable-hot-restart"],
    ["--concurrency", String(options.concurrency ?? 2)],
    ["--log-level", options.logLevel ?? "warning"],
    ...(componentLogLevel === undefined ? [] : [["--component-log-level", componentLogLevel]]),
  ].flat();
  try {
    return await options.keeper.run(
      funcE === undefined ? { file: envoyPath, args, cwd: dir, logPath } : throughFuncE(funcE, args, dir, logPath),
    );
  } catch (error) {
    throw new Failure(`${options.hop}: ${envoyPath}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** func-e keeps what Envoy prints to itself, so Envoy is told to write its log; what func-e makes goes into `dir`. */
function throughFuncE(funcE: FuncE, args: readonly string[], dir: string, logPath: string): Program {
  const home = (name: string): string => join(dir, "func-e", name);
  return {
    file: funcE.file,
    args: ["run", ...args, "--log-path", logPath],
    cwd: dir,
    env: {
      ...funcE.env,
      FUNC_E_CONFIG_HOME: home("config"),
      FUNC_E_STATE_HOME: home("state"),
      FUNC_E_RUNTIME_DIR: home("runtime"),
    },
    logPath: join(dirname(logPath), "func-e.log"),
  };
}

/** Asks until /ready says LIVE; Envoy tells its admin's address by a file, and nothing else tells that it is there. */
async function untilLive(
  options: EnvoyOptions,
  program: RunningProgram,
  addressPath: string,
  logPath: string,
): Promise<Admin> {
  const { hop, readyTimeoutMs = READY_TIMEOUT_MS } = options;
  const deadline = performance.now() + readyTimeoutMs;
  let end: ProgramEnd | undefined;
  void program.ended.then((ended) => (end = ended));
  while (performance.now() < deadline) {
    const address = await readFile(addressPath, "utf8").catch(() => "");
    const admin = adminAt(address.trim());
    if (address !== "" && (await isServing(admin))) return admin;
    await Promise.race([program.ended, delay(READY_POLL_MS)]);
    if (end !== undefined) throw explainEnd(hop, end, await logTail(logPath));
  }
  const message = `${hop}: Envoy was not ready within ${readyTimeoutMs / 1000} s`;
  throw new Failure(withLog(message, await logTail(logPath)));
}

/** LIVE comes a moment before the listeners are bound; only then is known whether their ports can be had. */
async function isServing(admin: Admin): Promise<boolean> {
  if (!(await admin.ready())) return false;
  return (await admin.stats(WORKERS_STARTED)).get("listener_manager.workers_started") === 1;
}

/** What comes from discovery services is refused while Envoy goes on without it: on its metrics alone can that be seen. */
async function refuseHalfConfigured(hop: string, admin: Admin, logPath: string): Promise<void> {
  const refused = [...(await admin.stats(REFUSED))].filter(([, count]) => count > 0).map(([name]) => name);
  if (refused.length === 0) return;
  const log = await logTail(logPath);
  const message = `${hop}: Envoy refused a part of its configuration (${refused.join(", ")})`;
  throw explainRefusal(hop, log) ?? new Failure(withLog(message, log));
}

async function stopProgram(program: RunningProgram): Promise<void> {
  program.signal("SIGTERM");
  const timer = setTimeout(() => program.signal("SIGKILL"), STOP_TIMEOUT_MS);
  await program.ended;
  clearTimeout(timer);
}

/** The end of the log. Empty where it cannot be read: then the end of Envoy is told without it. */
async function logTail(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { size } = await file.stat();
    const length = Math.min(size, MAX_LOG_READ);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString("utf8");
  } finally {
    await file.close();
  }
}

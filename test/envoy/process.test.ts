import { type ChildProcess, execFileSync, spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, realpath, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { describe, expect, it, onTestFinished, vi } from "vitest";

import { type Keeper, openKeeper } from "../../shim/envoy/keeper.js";
import { type EnvoyOptions, type RunningEnvoy, startEnvoy } from "../../shim/envoy/start.js";
import { Failure } from "../../shim/errors.js";
import { realEnvoy } from "../support/real-envoy.js";
import { temporaryFolder } from "../unit/envoy/fakes.js";

/** Envoy as a program: its start, its ways to end, and that nothing is left. Needs the build (`npm run build`). */

const envoyPath = await realEnvoy();

const TYPES = "type.googleapis.com/envoy";
const ADMIN = { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } };
const FOR_A_WHILE = { timeout: 15_000, interval: 20 };
vi.setConfig({ testTimeout: 60_000 });

/** A listener on `port` that answers every request with `answer`. */
function listener(answer: string, port = 0): object {
  const manager = {
    "@type": `${TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "test",
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: answer } } }],
        },
      ],
    },
    http_filters: [{ name: "router", typed_config: { "@type": `${TYPES}.extensions.filters.http.router.v3.Router` } }],
  };
  return {
    name: "http",
    enable_reuse_port: false,
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}

const bootstrap = (...listeners: object[]): object => ({ admin: ADMIN, static_resources: { listeners } });

async function keeperForTest(): Promise<Keeper> {
  const keeper = await openKeeper();
  onTestFinished(() => keeper.close());
  return keeper;
}

/** Starts an Envoy with `config` in a folder named after its hop. */
async function start(
  keeper: Keeper,
  hop: string,
  config: object,
  options: Partial<EnvoyOptions> = {},
): Promise<RunningEnvoy> {
  const dir = join(keeper.workDir, hop);
  const configPath = join(dir, "envoy.json");
  await mkdir(dir);
  await writeFile(configPath, JSON.stringify(config));
  return startEnvoy({ keeper, envoyPath: envoyPath ?? "", hop, configPath, dir, ...options });
}

async function answer(envoy: RunningEnvoy): Promise<string> {
  const port = envoy.listeners.get("http")?.port;
  return (await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) })).text();
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error(`expected a Failure, got ${String(error)}`);
  return error;
}

/** State and parent of a process; undefined once there is none. A zombie waits for others to reap it: it is gone. */
function processState(pid: number): { readonly parent: number } | undefined {
  const [state, parent] = existsSync("/proc/self/stat") ? fromProc(pid) : fromPs(pid);
  return state === undefined || state.startsWith("Z") ? undefined : { parent: Number(parent) };
}

function fromProc(pid: number): string[] {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name in parentheses may hold anything.
    return line.slice(line.lastIndexOf(")") + 2).split(" ", 2);
  } catch {
    return [];
  }
}

function fromPs(pid: number): string[] {
  try {
    const line = execFileSync("ps", ["-o", "stat=,ppid=", "-p", String(pid)], { encoding: "utf8" });
    return line.trim().split(/\s+/);
  } catch {
    return [];
  }
}

const parentOf = (pid: number): number => processState(pid)?.parent ?? 0;

async function untilGone(pids: readonly number[], workDir: string): Promise<void> {
  await vi.waitFor(() => {
    expect(pids.filter((pid) => processState(pid) !== undefined)).toEqual([]);
    expect(existsSync(workDir)).toBe(false);
  }, FOR_A_WHILE);
}

describe.skipIf(envoyPath === undefined)("startEnvoy", () => {
  it("starts two Envoys side by side on ports that are free, and tells which", async () => {
    const keeper = await keeperForTest();
    const [ingress, agents] = await Promise.all([
      start(keeper, "ingress", bootstrap(listener("from ingress"))),
      start(keeper, "agents", bootstrap(listener("from agents"))),
    ]);
    expect(await answer(ingress)).toBe("from ingress");
    expect(await answer(agents)).toBe("from agents");
    expect(await ingress.admin.ready()).toBe(true);
    expect((await agents.admin.stats("^http\\.test\\.downstream_rq_completed$")).values().next().value).toBe(1);
    expect((await stat(ingress.logPath)).isFile()).toBe(true);
  });

  it("stops when asked, twice too, and does not call that unexpected", async () => {
    const keeper = await keeperForTest();
    const onExit = vi.fn();
    const envoy = await start(keeper, "ingress", bootstrap(listener("x")), { onExit });
    await Promise.all([envoy.stop(), envoy.stop()]);
    await envoy.stop();
    expect(processState(envoy.pid)).toBeUndefined();
    expect(await readFile(envoy.logPath, "utf8")).toContain("ENVOY_SIGTERM");
    expect(onExit).not.toHaveBeenCalled();
  });

  it.each(["in the bootstrap", "from a discovery service"])("names the port that is taken (%s)", async (place) => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const keeper = await keeperForTest();
    const lds = join(keeper.workDir, "lds.json");
    const resource = { "@type": `${TYPES}.config.listener.v3.Listener`, ...listener("x", port) };
    await writeFile(lds, JSON.stringify({ resources: [resource] }));
    const discovered = {
      admin: ADMIN,
      node: { id: "ingress", cluster: "test" },
      dynamic_resources: { lds_config: { path_config_source: { path: lds }, resource_api_version: "V3" } },
    };
    const config = place === "in the bootstrap" ? bootstrap(listener("x", port)) : discovered;
    const failure = await failureOf(start(keeper, "ingress", config));
    expect(failure.message).toBe(`ingress: port ${port} is taken (127.0.0.1)`);
    expect(failure.fix).toContain("--port");
  });

  it("gives Envoy's reason for refusing a configuration", async () => {
    const { message } = await failureOf(start(await keeperForTest(), "agents", { admin: ADMIN, listeners: [] }));
    expect(message).toMatch(/^agents: Envoy refused its configuration: .*no such field: 'listeners'/);
  });

  it("gives up on an Envoy that is not ready in time, and ends it", async () => {
    const keeper = await keeperForTest();
    const silent = {
      admin: ADMIN,
      node: { id: "ingress", cluster: "test" },
      dynamic_resources: {
        lds_config: {
          resource_api_version: "V3",
          initial_fetch_timeout: "0s",
          api_config_source: {
            api_type: "GRPC",
            transport_api_version: "V3",
            grpc_services: [{ envoy_grpc: { cluster_name: "nobody" } }],
          },
        },
      },
      static_resources: { clusters: [{ name: "nobody", http2_protocol_options: {} }] },
    };
    const { message } = await failureOf(start(keeper, "ingress", silent, { readyTimeoutMs: 1000 }));
    expect(message).toContain("ingress: Envoy was not ready within 1 s");
    expect(await readFile(join(keeper.workDir, "ingress/log/envoy.log"), "utf8")).toContain("ENVOY_SIGTERM");
  });

  it("says which program cannot be started", async () => {
    const started = start(await keeperForTest(), "ingress", {}, { envoyPath: "/nowhere/envoy" });
    await expect(started).rejects.toThrow(/^ingress: \/nowhere\/envoy: it cannot be started: .*ENOENT/);
  });

  it("reports an Envoy that is killed, and leaves the other alone", async () => {
    const keeper = await keeperForTest();
    const [onExit, other] = [vi.fn(), vi.fn()];
    const agents = await start(keeper, "agents", bootstrap(listener("x")), { onExit });
    const ingress = await start(keeper, "ingress", bootstrap(listener("still here")), { onExit: other });
    process.kill(agents.pid, "SIGKILL");
    await vi.waitFor(() => expect(onExit).toHaveBeenCalledOnce(), FOR_A_WHILE);
    const failure = onExit.mock.calls[0]?.[0] as Failure;
    expect(failure).toBeInstanceOf(Failure);
    expect(failure.message).toContain("agents: Envoy was ended by SIGKILL");
    expect(await answer(ingress)).toBe("still here");
    expect(other).not.toHaveBeenCalled();
  });
});

const SHELL = { file: "/bin/sh", args: [], cwd: "/", logPath: "/dev/null" };

/** What a hopgate of its own prints that opens a keeper: its work dir, or what went wrong. */
function openWith(env: Readonly<Record<string, string>>, cwd: string): SpawnSyncReturns<string> {
  const keeper = JSON.stringify(new URL("../../build/shim/envoy/keeper.js", import.meta.url));
  const program = `
    import { openKeeper } from ${keeper};
    try {
      const keeper = await openKeeper();
      console.log(keeper.workDir);
      await keeper.close();
    } catch (error) { console.log(error.name + ": " + error.message + ". " + error.fix); }`;
  const args = ["--input-type=module", "--eval", program];
  return spawnSync(process.execPath, args, { cwd, encoding: "utf8", env: { ...process.env, ...env } });
}

describe("a keeper's work dir", () => {
  it("is absolute where TMPDIR is not", async () => {
    const folder = await realpath(await temporaryFolder());
    await mkdir(join(folder, "t"));
    expect(openWith({ TMPDIR: "t" }, folder).stdout).toMatch(`${join(folder, "t")}/hopgate-`);
  });

  it("is missed in one sentence that names TMPDIR", async () => {
    const folder = join(await temporaryFolder(), "absent");
    const { stdout, stderr } = openWith({ TMPDIR: folder }, "/");
    expect(stdout).toBe(
      `Failure: No work dir can be made in ${folder} (TMPDIR): ENOENT. Set TMPDIR to a folder with room that you may write to.\n`,
    );
    expect(stderr).toBe("");
  });
});

describe.skipIf(envoyPath === undefined)("a keeper", () => {
  it("has a work dir that only its user can enter", async () => {
    expect((await stat((await keeperForTest()).workDir)).mode & 0o777).toBe(0o700);
  });

  it("ends what runs and removes the work dir when closed", async () => {
    const keeper = await openKeeper();
    const onExit = vi.fn();
    const envoy = await start(keeper, "ingress", bootstrap(listener("x")), { onExit });
    const pids = [envoy.pid, parentOf(envoy.pid)];
    await Promise.all([keeper.close(), keeper.close()]);
    expect(pids.map(processState)).toEqual([undefined, undefined]);
    expect(existsSync(keeper.workDir)).toBe(false);
    expect(onExit).not.toHaveBeenCalled();
    await expect(keeper.run(SHELL)).rejects.toThrow("has ended");
  });

  it.each(["SIGKILL", "SIGTERM"] as const)("takes everything with it when it gets %s itself", async (signal) => {
    const keeper = await keeperForTest();
    const onExit = vi.fn();
    const envoy = await start(keeper, "ingress", bootstrap(listener("x")), { onExit });
    process.kill(parentOf(envoy.pid), signal);
    await vi.waitFor(() => expect(onExit).toHaveBeenCalledOnce(), FOR_A_WHILE);
    expect((onExit.mock.calls[0]?.[0] as Failure).message).toContain("the process that watches over it was killed");
    await untilGone([envoy.pid], keeper.workDir);
    await expect(keeper.run(SHELL)).rejects.toThrow("has ended");
    await keeper.close();
  });
});

/** Of every process whose command line holds `text`. */
function pidsWith(text: string): number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(text)).map((line) => Number.parseInt(line, 10));
}

describe.skipIf(envoyPath === undefined)("an Envoy behind a wrapper script", () => {
  /** The Envoy that the wrapper runs, with the pid of the wrapper and of everything under it. */
  async function startWrapped(keeper: Keeper): Promise<{ envoy: RunningEnvoy; pids: number[] }> {
    const wrapper = join(keeper.workDir, "wrapper.sh");
    await writeFile(wrapper, `#!/bin/sh\n"${envoyPath}" "$@"\nexit $?\n`, { mode: 0o755 });
    const envoy = await start(keeper, "ingress", bootstrap(listener("wrapped")), { envoyPath: wrapper });
    const pids = pidsWith(join(keeper.workDir, "ingress"));
    expect(pids.length).toBe(2);
    onTestFinished(() => pids.filter((pid) => processState(pid)).forEach((pid) => process.kill(pid, "SIGKILL")));
    return { envoy, pids };
  }

  const untilEnded = (pids: readonly number[]): Promise<void> =>
    vi.waitFor(() => expect(pids.filter((pid) => processState(pid) !== undefined)).toEqual([]), FOR_A_WHILE);

  it("goes when it is stopped", async () => {
    const { envoy, pids } = await startWrapped(await keeperForTest());
    await envoy.stop();
    await untilEnded(pids);
  });

  it("goes when the wrapper is killed", async () => {
    const { envoy, pids } = await startWrapped(await keeperForTest());
    process.kill(envoy.pid, "SIGKILL");
    await untilEnded(pids);
  });

  it("goes when the keeper is closed, with the work dir", async () => {
    const keeper = await keeperForTest();
    const { pids } = await startWrapped(keeper);
    await keeper.close();
    await untilGone(pids, keeper.workDir);
  });

  it.each(["SIGKILL", "SIGTERM"] as const)("goes when the keeper gets %s", async (signal) => {
    const keeper = await keeperForTest();
    const { envoy, pids } = await startWrapped(keeper);
    process.kill(parentOf(envoy.pid), signal);
    await untilGone(pids, keeper.workDir);
  });
});

/** A hopgate of its own: two Envoys, then a line that tells what runs, then `after`. */
function parentProgram(after: string): string {
  const module = (name: string): string =>
    JSON.stringify(new URL(`../../build/shim/envoy/${name}.js`, import.meta.url));
  return `
    import { mkdirSync, writeFileSync } from "node:fs";
    import { openKeeper } from ${module("keeper")};
    import { startEnvoy } from ${module("start")};
    const keeper = await openKeeper();
    const start = (hop) => {
      const dir = keeper.workDir + "/" + hop;
      mkdirSync(dir);
      writeFileSync(dir + "/envoy.json", ${JSON.stringify(JSON.stringify(bootstrap(listener("x"))))});
      return startEnvoy({ keeper, envoyPath: ${JSON.stringify(envoyPath)}, hop, configPath: dir + "/envoy.json", dir });
    };
    const tell = (pids) => process.stdout.write(JSON.stringify({ workDir: keeper.workDir, pids }) + "\\n");
    ${after}`;
}

const AFTER_START = `
  const envoys = await Promise.all([start("ingress"), start("agents")]);
  tell(envoys.map(({ pid }) => pid));
  await new Promise((resolve) => process.stdin.once("data", resolve));`;

interface Told {
  readonly workDir: string;
  readonly pids: readonly number[];
}

/** Runs `program` as the leader of a process group, as a shell would, until it has told its line. */
async function runParent(program: string): Promise<{ parent: ChildProcess; told: Told }> {
  const parent = spawn(process.execPath, ["--input-type=module", "--eval", program], { detached: true, stdio: "pipe" });
  onTestFinished(() => void parent.kill("SIGKILL"));
  const [chunk] = (await Promise.race([once(parent.stdout, "data"), text(parent.stderr).then((error) => [error])])) as [
    Buffer | string,
  ];
  return { parent, told: JSON.parse(String(chunk)) as Told };
}

describe.skipIf(envoyPath === undefined)("a parent that ends leaves no Envoy, no keeper and no work dir", () => {
  // A terminal's Ctrl-C goes to the whole foreground process group, so the signal goes to the group here too.
  it.each(["SIGKILL", "SIGINT", "SIGTERM", "SIGHUP"] as const)("by %s to its group", async (signal) => {
    const { parent, told } = await runParent(parentProgram(AFTER_START));
    const keepers = told.pids.map(parentOf);
    expect(keepers.every((pid) => pid > 1 && pid !== parent.pid)).toBe(true);
    process.kill(-(parent.pid ?? 0), signal);
    await untilGone([...told.pids, ...keepers], told.workDir);
  });

  it.each([
    ["by process.exit", "process.exit(0);"],
    ["by an error that nobody catches", "throw new Error('expected by the test');"],
  ])("%s", async (_, last) => {
    const { parent, told } = await runParent(parentProgram(AFTER_START + last));
    const keepers = told.pids.map(parentOf);
    parent.stdin?.write("go on\n");
    await untilGone([...told.pids, ...keepers], told.workDir);
  });

  it("by SIGKILL while its Envoys are starting", async () => {
    const last = `void start("ingress"); void start("agents"); tell([]); await new Promise((resolve) => setImmediate(resolve)); process.kill(process.pid, "SIGKILL");`;
    const { told } = await runParent(parentProgram(last));
    await untilGone([], told.workDir);
  });
});

/**
 * A proxy-wasm 0.2.1 host that behaves to its guest as Envoy 1.40 does: one process with a main thread and
 * worker threads, each with a VM of its own, on a clock that stands until it is moved. Modelled on proxytest
 * of proxy-wasm-go-sdk: a host you ask.
 *
 * @example
 * const proxy = await Emulator.start({ module: readFileSync("build/hopgate.wasm"), clusters: { metadata: "ok" } });
 * proxy.configure({ config: JSON.stringify(config) });
 * proxy.advance(1000);
 * proxy.calls[0]?.respond([[":status", "200"]], token);
 * const stream = proxy.stream({ headers: [[":method", "GET"], [":path", "/"], [":authority", "llm.example"]] });
 * const response = stream.respond([[":status", "200"]]);
 */
import { Failure } from "../errors.js";
import type { LogLevel } from "./abi.js";
import { Clock } from "./clock.js";
import type { SignatureCheck } from "./foreign.js";
import type { HttpCall } from "./http-call.js";
import type { MetricsSnapshot } from "./metrics.js";
import { pluginKey, type FailStrategy, type Plugin } from "./plugin.js";
import { Process, type ClusterState, type LogLine } from "./process.js";
import type { SharedData } from "./shared-data.js";
import { signatureFaults } from "./signatures.js";
import { Stream, type StreamOptions } from "./stream.js";
import { Thread, tryConfiguration } from "./thread.js";
import { Vm, type Trap } from "./vm.js";

export interface EmulatorOptions {
  /** The bytes of the module. */
  readonly module: Uint8Array;
  /** Worker threads; the main thread has a VM besides. Default 1. */
  readonly workers?: number;
  readonly vmId?: string;
  readonly vmConfiguration?: string | Uint8Array;
  /** Unix time in ms at the start. Default 2026-01-01T00:00:00Z. */
  readonly nowMs?: number;
  /** Lines below it are dropped, and the guest is told it. Default "info". */
  readonly logLevel?: LogLevel;
  /** The clusters that Envoy has; one that is not named does not exist. */
  readonly clusters?: Readonly<Record<string, ClusterState>>;
  /** Properties of every stream, by their path with dots; those of a stream itself win. */
  readonly properties?: Readonly<Record<string, string>>;
  /** "accept": verify_signature holds every signature for good. Default "verify". */
  readonly signatures?: SignatureCheck;
}

export interface ConfigureOptions {
  /** pluginConfig: text is sent as UTF-8. */
  readonly config: string | Uint8Array;
  readonly rootId?: string;
  /** Which plugin: another name is another plugin beside it, in the same VMs. Default "hopgate". */
  readonly name?: string;
  /** What happens to requests after a trap. Default "closed". */
  readonly failStrategy?: FailStrategy;
}

const DEFAULT_NAME = "hopgate";
const DEFAULT_NOW_MS = Date.UTC(2026, 0, 1);

export class Emulator {
  readonly #process: Process;
  readonly #main: Thread;
  readonly #workers: Thread[] = [];
  readonly #plugins = new Map<string, Plugin>();
  /** What the throw-away VM said of each configuration: Envoy asks once. */
  readonly #verdicts = new Map<string, boolean>();

  private constructor(process: Process, workers: number) {
    this.#process = process;
    // Envoy's base VM: it loads and starts the module, and is never configured.
    new Vm("base", process);
    this.#main = new Thread("main", process);
    for (let i = 0; i < workers; i++) this.#workers.push(new Thread(`worker ${i}`, process));
  }

  /** Loads the module. Throws Failure where Envoy would not load it, and says why. */
  static async start(options: EmulatorOptions): Promise<Emulator> {
    let module: WebAssembly.Module;
    try {
      module = await WebAssembly.compile(Uint8Array.from(options.module));
    } catch (error) {
      throw new Failure("the module is no WebAssembly that can be compiled", { cause: error });
    }
    const faults = signatureFaults(options.module);
    if (faults.length > 0) throw new Failure(`Envoy would not load the module: ${faults.join("; ")}`);
    const process = new Process({
      module,
      clock: new Clock(options.nowMs ?? DEFAULT_NOW_MS),
      vmId: options.vmId ?? "",
      vmConfiguration: Buffer.from(options.vmConfiguration ?? ""),
      logLevel: options.logLevel ?? "info",
      signatures: options.signatures ?? "verify",
      clusters: { ...options.clusters },
      properties: { ...options.properties },
    });
    return new Emulator(process, options.workers ?? 1);
  }

  /**
   * Gives a plugin a configuration. It is tried in a throw-away VM first; where that refuses it the old one
   * goes on serving. An accepted one gets a new root in each VM, and the roots of the old one go with their
   * last stream.
   */
  configure(options: ConfigureOptions): { accepted: boolean } {
    const plugin: Plugin = {
      name: options.name ?? DEFAULT_NAME,
      rootId: options.rootId ?? "",
      vmId: this.#process.vmId,
      configuration: Buffer.from(options.config),
      failStrategy: options.failStrategy ?? "closed",
    };
    const key = pluginKey(plugin);
    let accepted = this.#verdicts.get(key);
    if (accepted === undefined) {
      accepted = tryConfiguration(plugin, this.#process);
      this.#verdicts.set(key, accepted);
    }
    if (accepted) {
      this.#plugins.set(plugin.name, plugin);
      for (const thread of this.#threads()) thread.load(plugin);
    }
    return { accepted };
  }

  /** Takes a plugin out of the listener; its roots go with their last streams. */
  remove(name = DEFAULT_NAME): void {
    this.#plugins.delete(name);
    for (const thread of this.#threads()) thread.unload(name);
  }

  /** A request arrives on a worker, 0 unless said otherwise, for the plugin of that name. */
  stream(options: StreamOptions & { readonly worker?: number; readonly plugin?: string }): Stream {
    const plugin = this.#plugins.get(options.plugin ?? DEFAULT_NAME);
    const root =
      plugin === undefined ? "unconfigured" : (this.#worker(options.worker ?? 0).serve(plugin) ?? "unfiltered");
    if (typeof root !== "string") root.streams++;
    const stream = new Stream(root, options, () => {
      if (typeof root === "string") return;
      root.streams--;
      root.shutDownIfUnused();
    });
    stream.start(options);
    return stream;
  }

  /** The VM of a worker or of the main thread, once there is a configuration. */
  vm(which: number | "main"): Vm {
    const thread = which === "main" ? this.#main : this.#worker(which);
    if (thread.vm === undefined) throw new Error(`${thread.name} has no VM: nothing has been configured`);
    return thread.vm;
  }

  /** Lets time pass: ticks and timeouts of callouts fire in order, each at its own time. */
  advance(ms: number): void {
    this.#process.clock.advance(ms);
  }

  /** Steps the wall clock, and not the monotonic one that ticks and timeouts hang on. */
  stepWall(ms: number): void {
    this.#process.clock.stepWall(ms);
  }

  get clock(): Clock {
    return this.#process.clock;
  }

  /** The callouts that wait for an answer, oldest first, of all VMs. */
  get calls(): HttpCall[] {
    return [...this.#process.pendingCalls];
  }

  /** What the guests logged; empty it with `logs.length = 0`. */
  get logs(): LogLine[] {
    return this.#process.logs;
  }

  get traps(): readonly Trap[] {
    return this.#process.traps;
  }

  metrics(): MetricsSnapshot {
    return this.#process.metrics.snapshot();
  }

  get sharedData(): SharedData {
    return this.#process.sharedData;
  }

  /** The clusters by name; change them to let one appear, vanish or lose its endpoints. */
  get clusters(): Map<string, ClusterState> {
    return this.#process.clusters;
  }

  /** Whether verify_signature really verifies from now on. */
  set signatures(check: SignatureCheck) {
    this.#process.signatures = check;
  }

  #threads(): Thread[] {
    return [this.#main, ...this.#workers];
  }

  #worker(index: number): Thread {
    const worker = this.#workers[index];
    if (worker === undefined) throw new Error(`there is no worker ${index}, only ${this.#workers.length}`);
    return worker;
  }
}

/** The threads of Envoy and which root serves on each (Envoy: wasm.cc; C++ host: src/wasm.cc). */
import { pluginKey, type Plugin } from "./plugin.js";
import type { Process } from "./process.js";
import { RootContext } from "./root-context.js";
import { Vm } from "./vm.js";

/** Envoy reloads a trapped VM at most this often (its reload_config, jitter left out). */
const RELOAD_INTERVAL_MS = 1000;

/** Runs a configuration in a VM that is thrown away. What it did to shared data and metrics stays. */
export function tryConfiguration(plugin: Plugin, process: Process): boolean {
  const vm = new Vm("canary", process);
  const root = createRoot(vm, plugin);
  const accepted = root.start() && root.configure();
  root.abandon();
  return accepted;
}

function createRoot(vm: Vm, plugin: Plugin): RootContext {
  const root = new RootContext(vm, vm.nextContextId(), plugin);
  vm.contexts.set(root.id, root);
  return root;
}

/** A thread of Envoy: its VM and, for each plugin, the root that serves now. */
export class Thread {
  readonly name: string;
  readonly #process: Process;
  /** By the name of the plugin; undefined where the root did not take the configuration. */
  readonly #serving = new Map<string, { root: RootContext | undefined; loadedMs: number }>();
  vm: Vm | undefined;

  constructor(name: string, process: Process) {
    this.name = name;
    this.#process = process;
  }

  /** Puts a root for this configuration in charge; one that is there already for the same one stays. */
  load(plugin: Plugin): void {
    const old = this.#serving.get(plugin.name)?.root;
    if (old !== undefined && !old.vm.failed && pluginKey(old.plugin) === pluginKey(plugin)) return;
    const root = this.#createRoot(plugin);
    this.#serving.set(plugin.name, { root, loadedMs: this.#process.clock.monotonicMs });
    retire(old);
  }

  unload(name: string): void {
    const root = this.#serving.get(name)?.root;
    this.#serving.delete(name);
    retire(root);
  }

  /** The root for a new stream, reloaded if that is due; undefined where Envoy skips the filter. */
  serve(plugin: Plugin): RootContext | undefined {
    const serving = this.#serving.get(plugin.name);
    const root = serving?.root;
    if (serving === undefined || root === undefined) return undefined;
    if (!root.vm.failed || plugin.failStrategy !== "reload") return root;
    const nowMs = this.#process.clock.monotonicMs;
    if (nowMs - serving.loadedMs < RELOAD_INTERVAL_MS) return root;
    serving.loadedMs = nowMs;
    const fresh = this.#createRoot(plugin);
    if (fresh === undefined || fresh.vm.failed) return root;
    serving.root = fresh;
    retire(root);
    return fresh;
  }

  /** A failed VM is never given a new root: a new VM takes its place. */
  #createRoot(plugin: Plugin): RootContext | undefined {
    if (this.vm === undefined || this.vm.failed) this.vm = new Vm(this.name, this.#process);
    const root = createRoot(this.vm, plugin);
    return root.start() && root.configure() ? root : undefined;
  }
}

function retire(root: RootContext | undefined): void {
  if (root === undefined) return;
  root.retired = true;
  root.shutDownIfUnused();
}

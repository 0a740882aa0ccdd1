/**
 * One VM: an instance of the module with a memory of its own, the contexts in it, and the calls into it
 * (C++ host: src/wasm.cc, src/v8/v8.cc).
 */
import { Failure } from "../errors.js";
import { ABI_VERSION_EXPORT } from "./abi.js";
import type { Clock } from "./clock.js";
import type { Context } from "./context.js";
import { GuestMemory } from "./guest-memory.js";
import { hostImports } from "./host-functions.js";
import { VmMetrics } from "./metrics.js";
import type { Process } from "./process.js";
import { RestrictedCall } from "./restriction.js";

/** Every callback is optional: one that is not exported is not called. */
const CALLBACKS = [
  "proxy_on_context_create",
  "proxy_on_vm_start",
  "proxy_on_configure",
  "proxy_on_tick",
  "proxy_on_request_headers",
  "proxy_on_request_body",
  "proxy_on_request_trailers",
  "proxy_on_response_headers",
  "proxy_on_response_body",
  "proxy_on_response_trailers",
  "proxy_on_http_call_response",
  "proxy_on_done",
  "proxy_on_log",
  "proxy_on_delete",
] as const;
export type CallbackName = (typeof CALLBACKS)[number];

type GuestFunction = (...args: number[]) => number | undefined;

/** A trap of the guest. From then on its VM answers nothing. */
export interface Trap {
  /** "main", "worker N", or "canary", the throw-away VM. */
  readonly vm: string;
  readonly callback: string;
  readonly message: string;
}

export class Vm {
  readonly name: string;
  readonly process: Process;
  readonly memory: GuestMemory;
  readonly metrics: VmMetrics;
  readonly contexts = new Map<number, Context>();
  /** What host calls ask for that must wait until the guest has returned (context.cc: addAfterVmCallAction). */
  readonly afterCallActions: (() => void)[] = [];
  /** How often the guest called each host function, as "env.proxy_log" or "wasi_snapshot_preview1.clock_time_get". */
  readonly hostCalls: Record<string, number> = {};
  /** Set once the guest has trapped. */
  failed = false;
  /** A local reply was asked for in this call: its stream stops whatever the callback answers. */
  stopIteration = false;
  /** Which host functions may be called now: see restriction.ts. */
  restriction: "none" | "start" | "malloc" = "none";

  readonly #functions = new Map<CallbackName, GuestFunction>();
  #nextContextId = 1;
  #nextCallToken = 0;
  #current: Context | undefined;
  #effectiveId = 0;

  /** Instantiates and runs `_initialize` or `_start`. Throws Failure where Envoy could not load the module. */
  constructor(name: string, process: Process) {
    this.name = name;
    this.process = process;
    this.metrics = new VmMetrics(process.metrics);
    const instance = this.#instantiate();
    const exports = instance.exports;
    const memory = exports["memory"];
    if (!(memory instanceof WebAssembly.Memory)) throw new Failure("the module exports no memory");
    const malloc = functionOf(exports["malloc"]) ?? functionOf(exports["proxy_on_memory_allocate"]);
    if (malloc === undefined) {
      throw new Failure("the module exports neither malloc nor proxy_on_memory_allocate");
    }
    this.memory = new GuestMemory(memory, (size) => this.#allocate(malloc, size));
    for (const callback of CALLBACKS) {
      const exported = functionOf(exports[callback]);
      if (exported !== undefined) this.#functions.set(callback, exported);
    }
    this.#start(exports);
  }

  get clock(): Clock {
    return this.process.clock;
  }

  get vmConfiguration(): Buffer {
    return this.process.vmConfiguration;
  }

  /** The size of the guest's memory in pages of 64 KiB. */
  memoryPages(): number {
    return this.memory.pages;
  }

  exports(callback: CallbackName): boolean {
    return this.#functions.has(callback);
  }

  /** The next free id of a context. Ids count up from 1 in each VM and are not used again. */
  nextContextId(): number {
    return this.#nextContextId++;
  }

  /** Tokens of callouts: 4, 8, 12 ... (wasm.h: nextHttpCallId). */
  nextCallToken(): number {
    return (this.#nextCallToken += 4);
  }

  /** The context that a host call is about: the effective one if it still exists, else that of the callback. */
  active(): Context {
    const effective = this.#effectiveId === 0 ? undefined : this.contexts.get(this.#effectiveId);
    const context = effective ?? this.#current;
    if (context === undefined) throw new RestrictedCall("a host call outside of any context");
    return context;
  }

  /** Whether there is such a context, which is then the effective one until the callback returns; 0 is none. */
  setEffectiveContext(id: number): boolean {
    if (id !== 0 && !this.contexts.has(id)) return false;
    this.#effectiveId = id;
    return true;
  }

  /** Calls into the guest, which is never in two callbacks at once. A trap fails the VM and answers 0. */
  invoke(context: Context, name: CallbackName, a: number, b = 0, c = 0, d = 0, e = 0): number {
    const callback = this.#functions.get(name);
    if (callback === undefined) return 0;
    this.#current = context;
    try {
      return (callback(a, b, c, d, e) ?? 0) >>> 0;
    } catch (error) {
      this.#trap(name, error);
      return 0;
    } finally {
      this.#current = undefined;
      this.#effectiveId = 0;
    }
  }

  /** Does what had to wait for the guest to return. */
  afterCall(): void {
    this.stopIteration = false;
    for (let action = this.afterCallActions.shift(); action !== undefined; action = this.afterCallActions.shift()) {
      action();
    }
  }

  #instantiate(): WebAssembly.Instance {
    const imports = hostImports(this);
    for (const { module, name, kind } of WebAssembly.Module.imports(this.process.module)) {
      if (kind !== "function" || imports[module]?.[name] === undefined) {
        throw new Failure(`the module imports ${module}.${name}, which Envoy does not provide`);
      }
    }
    const versions = WebAssembly.Module.exports(this.process.module).map(({ name }) => name);
    if (!versions.includes(ABI_VERSION_EXPORT)) {
      throw new Failure(`the module does not export ${ABI_VERSION_EXPORT}: only that ABI is spoken here`);
    }
    try {
      return new WebAssembly.Instance(this.process.module, imports);
    } catch (error) {
      throw new Failure("the module cannot be instantiated", { cause: error });
    }
  }

  /** A reactor's `_initialize` and then `main`, or else a command's `_start` (wasm.cc: startVm). */
  #start(exports: WebAssembly.Exports): void {
    const initialize = functionOf(exports["_initialize"]);
    const entry = initialize ?? functionOf(exports["_start"]);
    const main = initialize === undefined ? undefined : functionOf(exports["main"]);
    this.restriction = "start";
    try {
      entry?.();
      main?.(0, 0);
    } catch (error) {
      this.#trap(initialize === undefined ? "_start" : "_initialize", error);
      throw new Failure("the module traps when it starts", { cause: error });
    } finally {
      this.restriction = "none";
    }
  }

  #allocate(malloc: GuestFunction, size: number): number {
    this.restriction = "malloc";
    try {
      return (malloc(size) ?? 0) >>> 0;
    } catch (error) {
      this.#trap("malloc", error);
      return 0;
    } finally {
      this.restriction = "none";
    }
  }

  /** Only what the guest did is a trap; a fault of the emulator stays a fault. */
  #trap(callback: string, error: unknown): void {
    if (!isTrap(error)) throw error;
    this.failed = true;
    this.process.traps.push({ vm: this.name, callback, message: error.message });
  }
}

function functionOf(exported: WebAssembly.ExportValue | undefined): GuestFunction | undefined {
  return typeof exported === "function" ? (exported as GuestFunction) : undefined;
}

function isTrap(error: unknown): error is Error {
  return (
    error instanceof WebAssembly.RuntimeError ||
    error instanceof RestrictedCall ||
    (error instanceof RangeError && error.message.startsWith("Maximum call stack"))
  );
}

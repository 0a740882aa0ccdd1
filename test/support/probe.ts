/** The probe guest without a proxy around it: its exports, its memory, and host functions that the test makes up. */
import { guest } from "./compile-guest.js";

type Export = (...args: (number | bigint)[]) => number;
/** Answers a status. 64-bit arguments are bigints. */
export type HostFunction = (probe: Probe, ...args: number[]) => number;

const UNIMPLEMENTED = 12;

const module = await WebAssembly.compile(Uint8Array.from(await guest("probe")));

export class Probe {
  readonly #exports: WebAssembly.Exports;

  /** Host functions by name; one that is missing answers Unimplemented. */
  constructor(host: Readonly<Record<string, HostFunction>> = {}) {
    const imports: Record<string, Record<string, (...args: number[]) => number>> = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      const functions = (imports[from] ??= {});
      functions[name] = (...args) => host[name]?.(this, ...args) ?? UNIMPLEMENTED;
    }
    this.#exports = new WebAssembly.Instance(module, imports).exports;
    this.call("_initialize");
  }

  call(name: string, ...args: (number | bigint)[]): number {
    const exported = this.#exports[name];
    if (typeof exported !== "function") throw new Error(`the probe exports no ${name}`);
    return (exported as Export)(...args);
  }

  get memory(): Buffer {
    return Buffer.from((this.#exports["memory"] as WebAssembly.Memory).buffer);
  }

  bytes(at: number, length: number): Buffer {
    return Buffer.from(this.memory.subarray(at, at + length));
  }

  /** Puts bytes into the arena. */
  fill(bytes: Uint8Array): void {
    this.memory.set(bytes, this.call("arenaAt"));
  }

  /** What a host does to answer: asks for memory, fills it, writes address and size; InvalidMemoryAccess where refused. */
  give(bytes: Uint8Array, pointerAt: number, sizeAt: number): number {
    const pointer = this.call("allocate", bytes.length);
    if (pointer === 0) return 6;
    this.memory.set(bytes, pointer);
    this.memory.writeUInt32LE(pointer, pointerAt);
    this.memory.writeUInt32LE(bytes.length, sizeAt);
    return 0;
  }
}

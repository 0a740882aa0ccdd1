/**
 * The shared data of one vm_id: one table for all VMs of the process (C++ host: src/shared_data.cc).
 * Keys are latin1 strings.
 */
import { Status } from "./abi.js";

export interface SharedValue {
  readonly value: Buffer;
  readonly cas: number;
}

export class SharedData {
  readonly #values = new Map<string, SharedValue>();
  #nextCas = 1;

  get(key: string): SharedValue | undefined {
    return this.#values.get(key);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  /**
   * Writes a value. `cas` 0 writes in any case; another one is compared with that of the value that is there.
   * Where there is none the value is written whatever `cas` says.
   */
  set(key: string, value: Uint8Array, cas = 0): number {
    const present = this.#values.get(key);
    if (present !== undefined && cas !== 0 && cas !== present.cas) return Status.CasMismatch;
    this.#values.set(key, { value: Buffer.from(value), cas: this.#nextCas });
    this.#nextCas = this.#nextCas === 0xffffffff ? 1 : this.#nextCas + 1;
    return Status.Ok;
  }
}

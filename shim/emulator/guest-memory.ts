/**
 * The linear memory of one guest, seen from the host. Bounds are checked as the C++ host checks them
 * (src/v8/v8.cc: getMemory, setMemory, setWord): what lies outside makes the call fail with
 * InvalidMemoryAccess, it never traps.
 *
 * Strings that cross the border are bytes: they are `latin1` JavaScript strings, one character a byte.
 */

/** Below this many bytes a loop beats the call into Buffer. */
const SHORT_BYTES = 24;

export class GuestMemory {
  readonly #memory: WebAssembly.Memory;
  readonly #malloc: (size: number) => number;
  #buffer: ArrayBufferLike;
  #view: DataView;
  #bytes: Buffer;

  /** `malloc` must answer 0 where the guest has none left or trapped. */
  constructor(memory: WebAssembly.Memory, malloc: (size: number) => number) {
    this.#memory = memory;
    this.#malloc = malloc;
    this.#buffer = memory.buffer;
    this.#view = new DataView(this.#buffer);
    this.#bytes = Buffer.from(this.#buffer);
  }

  get pages(): number {
    return this.#memory.buffer.byteLength / 65536;
  }

  /** Growing the memory detaches the old buffer, so every access looks whether it is still the same. */
  #refresh(): void {
    if (this.#memory.buffer !== this.#buffer) {
      this.#buffer = this.#memory.buffer;
      this.#view = new DataView(this.#buffer);
      this.#bytes = Buffer.from(this.#buffer);
    }
  }

  contains(pointer: number, size: number): boolean {
    this.#refresh();
    return (pointer >>> 0) + (size >>> 0) <= this.#bytes.length;
  }

  /** The bytes as a latin1 string, or undefined where they are not in the memory. */
  string(pointer: number, size: number): string | undefined {
    if (!this.contains(pointer, size)) return undefined;
    return this.#bytes.toString("latin1", pointer >>> 0, (pointer >>> 0) + (size >>> 0));
  }

  /** A view of the bytes, good until the guest runs again, or undefined where they are not in the memory. */
  view(pointer: number, size: number): Buffer | undefined {
    if (!this.contains(pointer, size)) return undefined;
    return this.#bytes.subarray(pointer >>> 0, (pointer >>> 0) + (size >>> 0));
  }

  writeU32(pointer: number, value: number): boolean {
    if (!this.contains(pointer, 4)) return false;
    this.#view.setUint32(pointer >>> 0, value, true);
    return true;
  }

  /** A 64-bit value as its low and high half: most values of this ABI are ready in halves. */
  writeU64(pointer: number, low: number, high: number): boolean {
    if (!this.contains(pointer, 8)) return false;
    this.#view.setUint32(pointer >>> 0, low, true);
    this.#view.setUint32((pointer >>> 0) + 4, high, true);
    return true;
  }

  /** Copies latin1 text to a place that is known to be in the memory; answers the place behind it. */
  putString(pointer: number, text: string): number {
    const length = text.length;
    if (length < SHORT_BYTES) {
      const bytes = this.#bytes;
      for (let i = 0; i < length; i++) bytes[pointer + i] = text.charCodeAt(i);
    } else {
      this.#bytes.write(text, pointer, length, "latin1");
    }
    return pointer + length;
  }

  putBytes(pointer: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, pointer);
  }

  putU8(pointer: number, value: number): void {
    this.#bytes[pointer] = value;
  }

  putU32(pointer: number, value: number): void {
    this.#view.setUint32(pointer, value, true);
  }

  /** Memory of the guest's own allocator, or 0 where it has none or answers a place outside (wasm.h: allocMemory). */
  allocate(size: number): number {
    const pointer = this.#malloc(size);
    return pointer !== 0 && this.contains(pointer, size) ? pointer : 0;
  }

  /**
   * Hands a string to the guest: allocates, copies, and writes address and size where the guest asked for
   * them. Nothing is allocated for an empty one: address and size are 0 (wasm.h: copyToPointerSize).
   */
  giveString(text: string, pointerAt: number, sizeAt: number): boolean {
    let pointer = 0;
    if (text.length > 0) {
      pointer = this.allocate(text.length);
      if (pointer === 0) return false;
      this.putString(pointer, text);
    }
    return this.writeU32(pointerAt, pointer) && this.writeU32(sizeAt, text.length);
  }

  /** As giveString, for bytes. */
  giveBytes(bytes: Uint8Array, pointerAt: number, sizeAt: number): boolean {
    let pointer = 0;
    if (bytes.length > 0) {
      pointer = this.allocate(bytes.length);
      if (pointer === 0) return false;
      this.putBytes(pointer, bytes);
    }
    return this.writeU32(pointerAt, pointer) && this.writeU32(sizeAt, bytes.length);
  }
}

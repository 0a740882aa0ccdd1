/**
 * A header map as Envoy keeps one (source/common/http/header_map_impl.cc), as far as a guest can tell:
 * names are lower case, pseudo headers come first, a second value of an inline header is joined to the
 * first, and `host` is another name for `:authority` in a request.
 */
import type { Headers, Pair } from "./pairs.js";

export type MapKind = "request" | "response" | "trailers";

const REQUEST_INLINE: ReadonlySet<string> = new Set([":authority"]);
const RESPONSE_INLINE: ReadonlySet<string> = new Set([":status"]);
const NO_INLINE: ReadonlySet<string> = new Set();

const INLINE: Readonly<Record<MapKind, ReadonlySet<string>>> = {
  request: REQUEST_INLINE,
  response: RESPONSE_INLINE,
  trailers: NO_INLINE,
};

/** ASCII alone: Envoy leaves bytes above 127 as they are. */
export function lowerCase(name: string): string {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code >= 65 && code <= 90) return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  }
  return name;
}

export class HeaderMap {
  readonly #kind: MapKind;
  readonly #pairs: Pair[] = [];
  #pseudo = 0;

  constructor(kind: MapKind, headers: Headers = []) {
    this.#kind = kind;
    for (const [name, value] of headers) this.add(name, value);
  }

  /** The live pairs in Envoy's order; copy them to keep them. */
  get pairs(): Headers {
    return this.#pairs;
  }

  get size(): number {
    return this.#pairs.length;
  }

  /** Names and values without any framing, in bytes. */
  get byteSize(): number {
    let size = 0;
    for (const [name, value] of this.#pairs) size += name.length + value.length;
    return size;
  }

  #key(name: string): string {
    const lower = lowerCase(name);
    return lower === "host" && this.#kind === "request" ? ":authority" : lower;
  }

  #indexOf(key: string): number {
    const pairs = this.#pairs;
    for (let i = 0; i < pairs.length; i++) {
      if ((pairs[i] as Pair)[0] === key) return i;
    }
    return -1;
  }

  /** The first value of a name: further ones of a header that is not inline are seen in `pairs` alone. */
  get(name: string): string | undefined {
    return this.#pairs[this.#indexOf(this.#key(name))]?.[1];
  }

  add(name: string, value: string): void {
    const key = this.#key(name);
    if (INLINE[this.#kind].has(key)) {
      const index = this.#indexOf(key);
      const present = this.#pairs[index];
      if (present !== undefined) {
        if (value !== "") this.#pairs[index] = [key, present[1] === "" ? value : `${present[1]},${value}`];
        return;
      }
    }
    if (key.charCodeAt(0) === 58 /* : */) this.#pairs.splice(this.#pseudo++, 0, [key, value]);
    else this.#pairs.push([key, value]);
  }

  /** Takes every value of the name away and adds this one. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    const key = this.#key(name);
    let index = this.#indexOf(key);
    while (index >= 0) {
      this.#pairs.splice(index, 1);
      if (index < this.#pseudo) this.#pseudo--;
      index = this.#indexOf(key);
    }
  }

  /** Everything goes, these come. */
  replaceAll(headers: Headers): void {
    this.#pairs.length = 0;
    this.#pseudo = 0;
    for (const [name, value] of headers) this.add(name, value);
  }
}

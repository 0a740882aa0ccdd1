/**
 * A header map as Envoy keeps one (source/common/http/header_map_impl.cc), as far as a guest can tell:
 * names are lower case, pseudo headers come first, a second value of an inline header is joined to the
 * first, and `host` is another name for `:authority` in a request.
 */
import type { Headers, Pair } from "./pairs.js";

export type MapKind = "request" | "response" | "trailers";

/**
 * The inline headers: those of envoy/http/header_map.h and those that Envoy's filters register, as measured
 * with the released Envoy 1.40.
 */
const REQUEST_INLINE = words(`
  :authority :method :path :protocol :scheme accept accept-encoding access-control-request-headers
  access-control-request-method access-control-request-private-network authentication authorization
  cache-control cdn-loop connection content-encoding content-length content-type expect
  grpc-accept-encoding grpc-timeout if-match if-modified-since if-none-match if-range if-unmodified-since
  keep-alive origin pragma proxy-connection proxy-status referer te transfer-encoding upgrade user-agent
  via x-client-trace-id x-envoy-attempt-count x-envoy-decorator-operation
  x-envoy-downstream-service-cluster x-envoy-downstream-service-node x-envoy-expected-rq-timeout-ms
  x-envoy-external-address x-envoy-force-trace x-envoy-hedge-on-per-try-timeout x-envoy-internal
  x-envoy-ip-tags x-envoy-is-timeout-retry x-envoy-max-retries x-envoy-original-host x-envoy-original-path
  x-envoy-original-url x-envoy-retriable-header-names x-envoy-retriable-status-codes x-envoy-retry-grpc-on
  x-envoy-retry-on x-envoy-upstream-alt-stat-name x-envoy-upstream-rq-per-try-timeout-ms
  x-envoy-upstream-rq-timeout-alt-response x-envoy-upstream-rq-timeout-ms
  x-envoy-upstream-stream-duration-ms x-forwarded-client-cert x-forwarded-for x-forwarded-host
  x-forwarded-port x-forwarded-proto x-request-id
`);
const RESPONSE_INLINE = words(`
  :status access-control-allow-credentials access-control-allow-headers access-control-allow-methods
  access-control-allow-origin access-control-allow-private-network access-control-expose-headers
  access-control-max-age age cache-control connection content-encoding content-length content-type date
  etag expires grpc-message grpc-status keep-alive last-modified location proxy-connection proxy-status
  server transfer-encoding upgrade vary via x-envoy-attempt-count x-envoy-decorator-operation
  x-envoy-degraded x-envoy-immediate-health-check-fail x-envoy-ratelimited x-envoy-upstream-canary
  x-envoy-upstream-healthchecked-cluster x-envoy-upstream-service-time x-request-id
`);
const TRAILERS_INLINE = words("grpc-message grpc-status");

const INLINE: Readonly<Record<MapKind, ReadonlySet<string>>> = {
  request: REQUEST_INLINE,
  response: RESPONSE_INLINE,
  trailers: TRAILERS_INLINE,
};

const COLON = 58;

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}

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
    const isPseudo = key.charCodeAt(0) === COLON;
    if (isPseudo && this.#pseudo < this.#pairs.length) this.#pairs.splice(this.#pseudo, 0, [key, value]);
    else this.#pairs.push([key, value]);
    if (isPseudo) this.#pseudo++;
  }

  /** Takes every value of the name away and adds this one. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  /** As Envoy itself sets an inline header: in its place if it is there. */
  put(name: string, value: string): void {
    const index = this.#indexOf(name);
    if (index >= 0) this.#pairs[index] = [name, value];
    else this.add(name, value);
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

import { counted, during, keepOpen, type KeptLoad, requestBytes } from "./load.js";
import { type Http2Request, keepOpenHttp2 } from "./load-http2.js";
import { keepOpenForStreams } from "./load-stream.js";
import { CHUNKS, GRPC_MESSAGE } from "./services.js";
import type { Variant } from "./variants.js";

/** Kinds of requests that the variants are measured under. */
export interface Workload {
  /** Stable: what data and baselines call it. */
  readonly id: string;
  readonly name: string;
  /** Worker threads of the measured Envoy. */
  readonly workers: 1 | 2;
  /** Parts of an answer that come by themselves; none where it comes whole. */
  readonly chunks?: number;
  /** The variants that are measured under it: all, or `FEW`. */
  readonly variants: "all" | "few";
  /**
   * How long one variant is under load before the next has its turn. What a neighbour takes of the shared caches changes within
   * milliseconds: turns of half a second are met by it unevenly, and make intervals many times as wide.
   */
  readonly turnMs: number;
  /** Requests at the beginning of a turn that are not counted. */
  readonly leadIn: number;
  /** Connects. */
  readonly open: (target: Target) => OpenWorkload;
}

export interface OpenWorkload {
  /** Keeps the target busy for about `durationMs`; returns how many requests were answered. */
  readonly busy: (durationMs: number) => Promise<number>;
  /** Sends so many requests. */
  readonly send: (count: number) => Promise<number>;
  readonly close: () => void;
}

export interface Target {
  readonly port: number;
  readonly variant: Variant;
  /** Headers that the variant asks for, such as a token; called for each request. */
  readonly headers: () => Readonly<Record<string, string>>;
}

const CONNECTIONS = 8;
const STREAMS = 64;

const TURN_MS = 20;
const LEAD_IN = 3 * CONNECTIONS;
/** Less than a stream lasts: in a turn each connection has one. */
const STREAM_TURN_MS = 150;

/** What is compared under the workloads that are not the headline. */
export const FEW: readonly string[] = [
  "none",
  "empty",
  "hopgate-route",
  "hopgate-inject",
  "rust-route",
  "rust-inject",
  "lua-inject",
  "peer",
];

const BROWSER: Readonly<Record<string, string>> = { "user-agent": "bench", accept: "*/*" };

/** Sixteen headers beside the host, user agent and `accept` (with :method and so on, 20 reach a filter), as browsers and gateways send them. */
const MANY: Readonly<Record<string, string>> = {
  ...BROWSER,
  "accept-encoding": "gzip, deflate, br, zstd",
  "accept-language": "en-US,en;q=0.9,de;q=0.8",
  "cache-control": "no-cache",
  cookie: "session=4f6c2a1be0d94d7e8b5b1c9a7f3e2d10; theme=dark; consent=1",
  origin: "https://app.example.com",
  pragma: "no-cache",
  referer: "https://app.example.com/chat/4f6c2a1b",
  "sec-ch-ua": '"Chromium";v="141", "Not?A_Brand";v="8"',
  "sec-ch-ua-mobile": "?0",
  "sec-fetch-dest": "empty",
  "sec-fetch-mode": "cors",
  "sec-fetch-site": "same-site",
  "x-api-version": "2026-01-01",
  "x-session-id": "0d4b7e1c9a2f",
  "x-tenant": "team-17",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
};

/** The headline. */
export const SMALL_REQUESTS: Workload = {
  id: "http1",
  name: "small requests, HTTP/1.1",
  workers: 1,
  variants: "all",
  turnMs: TURN_MS,
  leadIn: LEAD_IN,
  open: http1(BROWSER),
};

export const WORKLOADS: readonly Workload[] = [
  SMALL_REQUESTS,
  {
    id: "http2",
    name: "small requests, HTTP/2",
    workers: 1,
    variants: "few",
    turnMs: TURN_MS,
    leadIn: LEAD_IN,
    open: http2(({ variant, headers }) => ({
      headers: { ":path": "/v1/models", ":authority": variant.host, ...BROWSER, ...headers() },
    })),
  },
  {
    id: "headers",
    name: "20 request headers",
    workers: 1,
    variants: "few",
    turnMs: TURN_MS,
    leadIn: LEAD_IN,
    open: http1(MANY),
  },
  {
    id: "stream",
    name: `streams of ${CHUNKS} chunks`,
    chunks: CHUNKS,
    workers: 1,
    variants: "few",
    turnMs: STREAM_TURN_MS,
    leadIn: 0,
    open: ({ port, variant, headers }) =>
      opened(keepOpenForStreams(port, STREAMS), () => ({ host: variant.host, ...BROWSER, ...headers() })),
  },
  {
    id: "grpc",
    name: "gRPC unary",
    workers: 1,
    variants: "few",
    turnMs: TURN_MS,
    leadIn: LEAD_IN,
    open: http2(({ variant, headers }) => ({
      headers: {
        ":method": "POST",
        ":path": "/bench.Echo/Say",
        ":authority": variant.host,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers(),
      },
      body: GRPC_MESSAGE,
      grpcStatus: "0",
    })),
  },
  {
    id: "workers",
    name: "small requests, two workers",
    workers: 2,
    variants: "few",
    turnMs: TURN_MS,
    leadIn: LEAD_IN,
    open: http1(BROWSER),
  },
];

function http1(fixed: Readonly<Record<string, string>>): Workload["open"] {
  return ({ port, variant, headers }) => {
    const whole = variant.token === "new" ? undefined : requestBytes(variant.host, { ...fixed, ...headers() });
    const request = (): Buffer => whole ?? requestBytes(variant.host, { ...fixed, ...headers() });
    return opened(keepOpen(port, CONNECTIONS), request);
  };
}

function http2(request: (target: Target) => Http2Request): Workload["open"] {
  return (target) => opened(keepOpenHttp2(target.port, CONNECTIONS), () => request(target));
}

function opened<Request>({ run, close }: KeptLoad<Request>, request: () => Request): OpenWorkload {
  return {
    busy: (durationMs) => run(during(durationMs, request)),
    send: (count) => run(counted(count, request)),
    close,
  };
}

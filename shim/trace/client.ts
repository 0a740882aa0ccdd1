/**
 * An HTTP/1.1 client that measures: connection, response headers, first byte, first token, gaps between chunks, end. All
 * times are of the monotonic clock, in microseconds since the call.
 */

import http from "node:http";
import https from "node:https";
import { isIP, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { Failure, UsageError } from "../errors.js";
import { shownUrl } from "../output/text.js";
import { broken, cancelled, timedOut, type Where } from "./client-failure.js";
import { FirstToken } from "./first-token.js";
import type { ClientTimes } from "./path.js";

export interface ClientRequest {
  /** `http:` or `https:`. Its host goes into the Host header, and is the name the certificate must carry. */
  readonly url: string;
  /** Where to connect instead of the URL's host and port. */
  readonly connectTo?: { readonly host: string; readonly port: number } | undefined;
  /** Certificates (PEM) to trust instead of the well-known ones. */
  readonly ca?: string | undefined;
  /** Server name to ask for and to verify instead of the URL's host. */
  readonly servername?: string | undefined;
  /** Default: GET. */
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** Keeps connections between requests; without one, the request has a connection of its own. See `keepAlive`. */
  readonly agent?: http.Agent | https.Agent | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For the whole exchange, the body included. Default: 30 s. */
  readonly timeoutMs?: number | undefined;
}

export interface Times extends ClientTimes {
  /** Parts of `connect_us`; 0 where there was nothing to do. */
  readonly dns_us: number;
  readonly tcp_us: number;
  readonly tls_us: number;
  /** Until the first byte of the body; absent where it is empty. */
  readonly first_byte_us: number | undefined;
  /** Between consecutive chunks as they came off the connection; at most the first 4096. */
  readonly gaps_us: readonly number[];
}

export interface ClientResponse {
  readonly status: number;
  /** Names in lower case, values of repeated headers joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  /** The values of all Server-Timing headers, in their order. */
  readonly serverTiming: readonly string[];
  /** At most the first 4 MiB, decoded as UTF-8. The times are those of the whole. */
  readonly body: string;
  readonly bodyTruncated: boolean;
  readonly times: Times;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_GAPS = 4096;

/** One kept connection to each origin, for measuring requests without their connections. `destroy()` it in the end. */
export function keepAlive(url: string): http.Agent | https.Agent {
  const options = { keepAlive: true, maxSockets: 1 };
  return parse(url).protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
}

/**
 * Sends one request and reads its whole response. Any status is a result.
 *
 * @throws {UsageError} the URL is none, or no header or method can be made of what was given
 * @throws {Failure} there was no whole response: says at which step it ended, and why
 */
export async function request(input: ClientRequest): Promise<ClientResponse> {
  const url = parse(input.url);
  const timeoutMs = input.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const where: Where = {
    request: `${input.method ?? "GET"} ${shownUrl(input.url)}`,
    address: `${hostOf(url, input)}:${String(portOf(url, input))}`,
    step: "connect",
  };
  const clock = new Clock();
  const outgoing = start(url, input);

  const ends = new AbortController();
  const timer = setTimeout(() => {
    ends.abort(timedOut(where, timeoutMs));
  }, timeoutMs);
  const onAbort = (): void => {
    ends.abort(cancelled(where, input.signal?.reason));
  };
  input.signal?.addEventListener("abort", onAbort);
  if (input.signal?.aborted === true) onAbort();
  try {
    return await exchange(outgoing, input.body, where, clock, ends.signal);
  } finally {
    clearTimeout(timer);
    input.signal?.removeEventListener("abort", onAbort);
  }
}

function exchange(
  outgoing: http.ClientRequest,
  body: string | Uint8Array | undefined,
  where: Where,
  clock: Clock,
  ends: AbortSignal,
): Promise<ClientResponse> {
  return new Promise((resolve, reject) => {
    const connection = new Connection(clock);
    const end = (reason: unknown): void => {
      reject(reason instanceof Failure ? reason : broken(where, reason));
      outgoing.destroy();
    };
    // `destroy` makes the request emit errors of its own; the first rejection is the one that counts.
    outgoing.on("error", end);
    outgoing.on("socket", (socket) => {
      connection.watch(socket, () => (where.step = "headers"));
    });
    outgoing.on("response", (response) => {
      const headers_us = clock.now_us();
      where.step = "body";
      const reader = new BodyReader(clock);
      response.on("data", (chunk: Buffer) => {
        reader.push(chunk);
      });
      response.on("error", end);
      response.on("end", () => {
        const total_us = clock.now_us();
        resolve({
          status: response.statusCode ?? 0,
          headers: joined(response.headersDistinct),
          serverTiming: response.headersDistinct["server-timing"] ?? [],
          body: reader.text(),
          bodyTruncated: reader.truncated,
          times: { ...connection.times(), headers_us, ...reader.times(), total_us },
        });
      });
    });
    if (ends.aborted) {
      end(ends.reason);
      return;
    }
    ends.addEventListener(
      "abort",
      () => {
        end(ends.reason);
      },
      { once: true },
    );
    outgoing.end(body);
  });
}

function parse(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === "https:" || parsed?.protocol === "http:") return parsed;
  throw new UsageError(`"${shownUrl(url)}" is no URL to send a request to`, "write it as https://HOST/PATH");
}

/** The request object, with nothing sent. Node refuses bad methods and header values by throwing. */
function start(url: URL, input: ClientRequest): http.ClientRequest {
  const name = input.servername ?? (isIP(bare(url.hostname)) === 0 ? url.hostname : undefined);
  const options: https.RequestOptions = {
    host: hostOf(url, input),
    port: portOf(url, input),
    path: url.pathname + url.search,
    method: input.method ?? "GET",
    headers: { host: url.host, ...input.headers },
    // `false` is a new agent for this request alone, which closes the connection at the end.
    agent: input.agent ?? false,
    ...(input.ca !== undefined && { ca: input.ca }),
    ...(name !== undefined && { servername: name }),
  };
  try {
    return url.protocol === "https:" ? https.request(options) : http.request(options);
  } catch (error) {
    // Node names the header, never its value.
    throw new UsageError(
      `cannot send ${shownUrl(input.url)}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function hostOf(url: URL, input: ClientRequest): string {
  return input.connectTo?.host ?? bare(url.hostname);
}

function portOf(url: URL, input: ClientRequest): number {
  return input.connectTo?.port ?? Number(url.port || (url.protocol === "https:" ? 443 : 80));
}

/** An IPv6 address without the brackets that it has in a URL. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function joined(headers: NodeJS.Dict<string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, values = []]) => [name, values.join(", ")]));
}

class Clock {
  private readonly start_ns = process.hrtime.bigint();

  now_us(): number {
    return Number((process.hrtime.bigint() - this.start_ns) / 1000n);
  }
}

/** The steps of a connection, each until `now`. A kept connection takes none of them. */
class Connection {
  private resolved_us: number | undefined;
  private connected_us: number | undefined;
  private ready_us = 0;
  private begun_us = 0;

  constructor(private readonly clock: Clock) {}

  watch(socket: Socket, onReady: () => void): void {
    if (!socket.connecting) {
      onReady();
      return;
    }
    this.begun_us = this.clock.now_us();
    const ready = (now_us: number): void => {
      this.ready_us = now_us;
      onReady();
    };
    socket.once("lookup", () => (this.resolved_us = this.clock.now_us()));
    socket.once("connect", () => {
      this.connected_us = this.clock.now_us();
      if (!(socket instanceof TLSSocket)) ready(this.connected_us);
    });
    socket.once("secureConnect", () => {
      ready(this.clock.now_us());
    });
  }

  times(): Pick<Times, "connect_us" | "dns_us" | "tcp_us" | "tls_us"> {
    const resolved_us = this.resolved_us ?? this.begun_us;
    const connected_us = this.connected_us ?? resolved_us;
    return {
      connect_us: this.ready_us,
      dns_us: resolved_us - this.begun_us,
      tcp_us: connected_us - resolved_us,
      tls_us: Math.max(0, this.ready_us - connected_us),
    };
  }
}

class BodyReader {
  truncated = false;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;
  private readonly token = new FirstToken();
  private first_byte_us: number | undefined;
  private ttft_us: number | undefined;
  private last_us: number | undefined;
  private readonly gaps_us: number[] = [];

  constructor(private readonly clock: Clock) {}

  push(chunk: Buffer): void {
    const at_us = this.clock.now_us();
    this.first_byte_us ??= at_us;
    if (this.last_us !== undefined && this.gaps_us.length < MAX_GAPS) this.gaps_us.push(at_us - this.last_us);
    this.last_us = at_us;
    if (this.ttft_us === undefined && this.token.push(chunk)) this.ttft_us = at_us;

    const kept = chunk.subarray(0, MAX_BODY_BYTES - this.bytes);
    this.truncated ||= kept.length < chunk.length;
    this.bytes += kept.length;
    if (kept.length > 0) this.chunks.push(kept);
  }

  text(): string {
    return Buffer.concat(this.chunks).toString("utf8");
  }

  times(): Pick<Times, "first_byte_us" | "ttft_us" | "gaps_us"> {
    return { first_byte_us: this.first_byte_us, ttft_us: this.ttft_us, gaps_us: this.gaps_us };
  }
}

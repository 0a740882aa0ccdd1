/**
 * Requests and responses as an HTTP Archive, which the network panel of any browser opens
 * (HAR 1.2: http://www.softwareishard.com/blog/har-12-spec/).
 *
 * An archive is made to be passed on, so it holds no bodies, no values of queries or cookies, and no header that may carry a
 * credential. What the hops reported is in the field `_hopgate` of an entry.
 */

import { STATUS_CODES } from "node:http";

import { shownUrl } from "../output/text.js";
import type { ClientResponse, Times } from "../trace/client.js";
import type { Trace } from "../trace/path.js";
import { shareableHeaders } from "./headers.js";

/** One request that was sent, and what came. */
export interface ArchivedExchange {
  /** When it was sent, Unix time in ms. */
  readonly startedMs: number;
  readonly method: string;
  readonly url: string;
  /** As they were sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  readonly response: Pick<ClientResponse, "status" | "headers" | "times">;
  /** Of the response's body, where its headers do not say it. */
  readonly responseBytes: number;
  readonly trace: Trace;
}

export interface HarHeader {
  readonly name: string;
  readonly value: string;
}

/** Milliseconds; -1 where a step does not apply. */
export interface HarTimings {
  readonly blocked: number;
  readonly dns: number;
  /** TCP and TLS. */
  readonly connect: number;
  readonly send: number;
  readonly wait: number;
  readonly receive: number;
  /** A part of `connect`. */
  readonly ssl: number;
}

/** The archive, ready for JSON.stringify. `version` is that of hopgate. */
export function harOf(exchanges: readonly ArchivedExchange[], version: string): object {
  return { log: { version: "1.2", creator: { name: "hopgate", version }, entries: exchanges.map(entryOf) } };
}

function entryOf(exchange: ArchivedExchange): object {
  const { times } = exchange.response;
  const { hops, segments, notes, ttft_us } = exchange.trace;
  return {
    startedDateTime: new Date(exchange.startedMs).toISOString(),
    time: milliseconds(times.total_us),
    request: requestOf(exchange),
    response: responseOf(exchange),
    cache: {},
    timings: timingsOf(times),
    _hopgate: { hops, segments, notes, ttft_us },
  };
}

function requestOf({ method, url, headers, bodyBytes }: ArchivedExchange): object {
  return {
    method,
    url: shownUrl(url),
    httpVersion: "HTTP/1.1",
    cookies: [],
    headers: shareableHeaders(headers),
    queryString: [...new URL(url).searchParams.keys()].map((name) => ({ name, value: "", comment: "value left out" })),
    headersSize: -1,
    bodySize: bodyBytes,
  };
}

function responseOf({ method, response, responseBytes }: ArchivedExchange): object {
  const { status, headers } = response;
  const length = headers["content-length"] ?? "";
  const isCounted = method !== "HEAD" && /^\d{1,15}$/.test(length);
  return {
    status,
    statusText: STATUS_CODES[status] ?? "",
    httpVersion: "HTTP/1.1",
    cookies: [],
    headers: shareableHeaders(Object.entries(headers)),
    content: {
      size: isCounted ? Number(length) : responseBytes,
      mimeType: headers["content-type"] ?? "",
      comment: "text left out",
    },
    redirectURL: shownUrl(headers["location"] ?? ""),
    headersSize: -1,
    bodySize: -1,
  };
}

/** The parts add up to the time of the entry, where `ssl` is a part of `connect`. A kept connection has no steps of its own. */
export function timingsOf({ connect_us, dns_us, tcp_us, tls_us, headers_us, total_us }: Times): HarTimings {
  const isNew = connect_us > 0;
  return {
    blocked: isNew ? milliseconds(connect_us - dns_us - tcp_us - tls_us) : -1,
    dns: isNew ? milliseconds(dns_us) : -1,
    connect: isNew ? milliseconds(tcp_us + tls_us) : -1,
    send: 0,
    wait: milliseconds(headers_us - connect_us),
    receive: milliseconds(total_us - headers_us),
    ssl: tls_us > 0 ? milliseconds(tls_us) : -1,
  };
}

function milliseconds(duration_us: number): number {
  return duration_us / 1000;
}

import http2 from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { type Seen, seenHeader, startEcho } from "../support/echo.js";
import { headerOf, rawRequest, type RawResponse, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

let echo: LocalServer;
let hop: Standalone;
let rejecting: Standalone;

/** Spellings of a host that mean `a.example.internal`, and the backend that each leads to. */
const ACCEPTED = [
  ["a.example.internal", "a"],
  ["A.Example.INTERNAL", "a"],
  ["a.example.internal:80", "a"],
  ["a.example.internal:65535", "a"],
  ["a.example.internal.", "a"],
  ["A.example.internal.:8080", "a"],
  ["b.wild.example.internal", "wild"],
  ["b.c.wild.example.internal:1", "wild"],
  ["b.deep.wild.example.internal", "deep"],
] as const;

/** Well formed, and of no route. */
const UNMATCHED = [
  "wild.example.internal",
  "awild.example.internal",
  "example.internal",
  "xa.example.internal",
  "a.example.internal.org",
  "127.0.0.1",
  "[::1]",
  "[::1]:443",
  "[2001:db8::1]",
  "a_b.example.internal",
];

/** What two readers could take for two hosts. */
const REFUSED = [
  ["a comma", "a.example.internal,b.example.internal"],
  ["a comma at the end", "a.example.internal,"],
  ["a percent sign", "a%2eexample.internal"],
  ["port zero", "a.example.internal:0"],
  ["a port too large", "a.example.internal:65536"],
  ["a port with leading zeroes", "a.example.internal:000080"],
  ["an empty port", "a.example.internal:"],
  ["a port that is no number", "a.example.internal:8o"],
  ["two ports", "a.example.internal:80:80"],
  ["two trailing dots", "a.example.internal.."],
  ["a leading dot", ".a.example.internal"],
  ["an empty label", "a..example.internal"],
  ["a single dot", "."],
  ["a port alone", ":80"],
  ["scoped IPv6", "[fe80::1%25eth0]"],
  ["IPv6 with a bare scope", "[fe80::1%eth0]"],
  ["IPv6 that does not end", "[::1"],
  ["empty brackets", "[]"],
  ["IPv6 with a bad port", "[::1]:0"],
  ["IPv6 with something behind it", "[::1]a"],
  ["254 bytes", `${"a".repeat(49)}.`.repeat(5) + "abcd"],
] as const;

describe.skipIf(envoyPath === "")("every spelling of a host", () => {
  beforeAll(async () => {
    echo = await startEcho();
    const options = {
      envoyPath,
      config: {
        hop: "ingress",
        edge: true,
        routes: [
          { hosts: ["a.example.internal"], to: [{ backend: "a", weight: 100 }] },
          { hosts: ["*.wild.example.internal"], to: [{ backend: "wild", weight: 100 }] },
          {
            hosts: ["*.deep.wild.example.internal", "b.deep.wild.example.internal"],
            to: [{ backend: "deep", weight: 100 }],
          },
        ],
        backends: { a: {}, wild: {}, deep: {} },
      },
      services: { a: echo, wild: echo, deep: echo },
      passTo: echo,
    };
    [hop, rejecting] = await Promise.all([
      startStandalone(options),
      startStandalone({ ...options, config: { ...options.config, unmatched: "reject" } }),
    ]);
  });

  afterAll(async () => {
    await Promise.all([hop.close(), rejecting.close(), echo.close()]);
  });

  it.each(ACCEPTED)("%s leads to %s, and reaches the service as it was spelled", async (host, backend) => {
    const { status, body } = await askHttp1(host);
    const seen = JSON.parse(body.toString()) as Seen;
    expect(status).toBe(200);
    expect(seenHeader(seen, "x-hopgate-backend")).toEqual([backend]);
    expect(seenHeader(seen, "host")).toEqual([host]);
    expect(JSON.parse((await askHttp2(host)).body)).toMatchObject({ url: "/" });
  });

  it.each(UNMATCHED)("%s has no route: passed on untouched, or 404", async (host) => {
    const passed = await askHttp1(host);
    expect(passed.status).toBe(200);
    expect(seenHeader(JSON.parse(passed.body.toString()) as Seen, "x-hopgate-backend")).toEqual([]);
    const rejected = await askHttp1(host, rejecting);
    expectProblem(rejected, 404, "route_unmatched");
    const overHttp2 = await askHttp2(host, rejecting);
    expect([overHttp2.status, overHttp2.code]).toEqual([404, "route_unmatched"]);
  });

  it.each(REFUSED)("%s is a 400 whatever the routes (%s)", async (_why, host) => {
    for (const envoy of [hop, rejecting]) expectProblem(await askHttp1(host, envoy), 400, "host_invalid");
  });

  it("userinfo is refused, by the filter or before it", async () => {
    for (const host of ["user@a.example.internal", "user:pass@a.example.internal", "a.example.internal@evil.example"]) {
      expect((await askHttp1(host)).status, host).toBe(400);
      // HTTP/2 has no word for it: Envoy's codec ends the stream.
      await expect(askHttp2(host), host).rejects.toThrow("the stream was refused");
    }
  });

  it("an empty host, or none, is refused", async () => {
    expectProblem(await askHttp1(""), 400, "host_invalid");
    expect((await rawRequest(hop.port, "GET / HTTP/1.1\r\n\r\n")).status).toBe(400);
  });

  it("two hosts are refused, though each has a route", async () => {
    const lines = "Host: a.example.internal\r\nHost: b.wild.example.internal\r\n";
    expect((await rawRequest(hop.port, `GET / HTTP/1.1\r\n${lines}\r\n`)).status).toBe(400);
    const twice = "Host: a.example.internal\r\nHost: a.example.internal\r\n";
    expect((await rawRequest(hop.port, `GET / HTTP/1.1\r\n${twice}\r\n`)).status).toBe(400);
  });

  it("bytes that are no host at all reach nobody", async () => {
    for (const host of [
      "a.example.internal b",
      "a.example.internal/x",
      "a\\b",
      "a.example.internal#",
      "a\tb",
      "a?b",
      "<a>",
    ]) {
      expect((await askHttp1(host)).status, JSON.stringify(host)).toBe(400);
    }
  });
});

function askHttp1(host: string, { port } = hop): Promise<RawResponse> {
  return rawRequest(port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
}

async function askHttp2(
  host: string,
  { origin } = hop,
): Promise<{ status: number; code: string | undefined; body: string }> {
  const session = http2.connect(origin);
  try {
    const stream = session.request({ ":path": "/", ":authority": host });
    const headers = await new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>((resolve, reject) => {
      stream.once("response", (headers) => resolve(headers));
      stream.once("error", () => undefined);
      stream.once("close", () => reject(new Error("the stream was refused")));
    });
    return { status: headers[":status"] ?? 0, code: headers["x-hopgate-error"]?.toString(), body: await text(stream) };
  } finally {
    session.close();
  }
}

function expectProblem(response: RawResponse, status: number, code: string): void {
  expect(response.status).toBe(status);
  expect(headerOf(response, "x-hopgate-error")).toBe(code);
  expect(valuesOf(response, "content-type")).toEqual(["application/problem+json"]);
  expect(JSON.parse(response.body.toString())).toMatchObject({ type: "about:blank", status, code });
}

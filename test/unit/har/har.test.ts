import { describe, expect, it } from "vitest";
import { type ArchivedExchange, harOf, timingsOf } from "../../../shim/har/har.js";
import type { Times } from "../../../shim/trace/client.js";
import { tracePath } from "../../../shim/trace/path.js";

const TIMES: Times = {
  connect_us: 9000,
  dns_us: 1000,
  tcp_us: 2000,
  tls_us: 5500,
  headers_us: 20_000,
  first_byte_us: 21_000,
  ttft_us: 22_000,
  gaps_us: [],
  total_us: 30_000,
};
const KEPT: Times = { ...TIMES, connect_us: 0, dns_us: 0, tcp_us: 0, tls_us: 0 };

function exchange(fields: Partial<ArchivedExchange> = {}, headers: Record<string, string> = {}): ArchivedExchange {
  return {
    startedMs: Date.UTC(2026, 0, 1),
    method: "GET",
    url: "https://user@a.example/b?c=d#e",
    headers: [["host", "a.example"]],
    bodyBytes: 0,
    response: { status: 200, headers: { "content-type": "text/plain", ...headers }, times: TIMES },
    responseBytes: 5,
    trace: tracePath(
      [
        { name: "ingress", duration: 10 },
        { name: "ingress-upstream", duration: 9 },
      ],
      TIMES,
    ),
    ...fields,
  };
}

/** What HAR 1.2 requires of each object, by the type of the value. */
const REQUIRED = {
  log: { version: "string", creator: "object", entries: "object" },
  creator: { name: "string", version: "string" },
  entry: {
    startedDateTime: "string",
    time: "number",
    request: "object",
    response: "object",
    cache: "object",
    timings: "object",
  },
  request: {
    method: "string",
    url: "string",
    httpVersion: "string",
    cookies: "object",
    headers: "object",
    queryString: "object",
    headersSize: "number",
    bodySize: "number",
  },
  response: {
    status: "number",
    statusText: "string",
    httpVersion: "string",
    cookies: "object",
    headers: "object",
    content: "object",
    redirectURL: "string",
    headersSize: "number",
    bodySize: "number",
  },
  content: { size: "number", mimeType: "string" },
  timings: { send: "number", wait: "number", receive: "number" },
  pair: { name: "string", value: "string" },
} as const;

type Fields = Record<string, unknown>;

function expectRequired(kind: keyof typeof REQUIRED, value: unknown): void {
  const types = Object.fromEntries(Object.keys(REQUIRED[kind]).map((name) => [name, typeof (value as Fields)[name]]));
  expect({ [kind]: types }).toEqual({ [kind]: REQUIRED[kind] });
}

/** The first entry, as a reader of the file sees it. */
function entryOf(from: ArchivedExchange): { request: Fields; response: Fields; timings: Fields } & Fields {
  const { log } = JSON.parse(JSON.stringify(harOf([from], "1.2.3"))) as { log: { entries: Fields[] } };
  return log.entries[0] as ReturnType<typeof entryOf>;
}

describe("an archive", () => {
  it("has every field that HAR 1.2 requires, and names of our own only with an underscore", () => {
    const har = JSON.parse(JSON.stringify(harOf([exchange()], "1.2.3"))) as { log: Fields & { creator: Fields } };
    expectRequired("log", har.log);
    expectRequired("creator", har.log.creator);
    const entry = entryOf(exchange());
    expectRequired("entry", entry);
    expectRequired("request", entry.request);
    expectRequired("response", entry.response);
    expectRequired("content", entry.response["content"]);
    expectRequired("timings", entry.timings);
    for (const pair of [entry.request["headers"], entry.request["queryString"], entry.response["headers"]].flat()) {
      expectRequired("pair", pair);
    }
    const own = Object.keys(entry).filter((name) => !(name in REQUIRED.entry));
    expect(own).toEqual(["_hopgate"]);
  });

  it("is of version 1.2, with times of ISO 8601", () => {
    expect(harOf([], "1.2.3")).toEqual({
      log: { version: "1.2", creator: { name: "hopgate", version: "1.2.3" }, entries: [] },
    });
    expect(entryOf(exchange())["startedDateTime"]).toBe("2026-01-01T00:00:00.000Z");
  });

  it("has the URL without userinfo, the query by its names alone", () => {
    const { request } = entryOf(exchange());
    expect(request["url"]).toBe("https://a.example/b");
    expect(request["queryString"]).toEqual([{ name: "c", value: "", comment: "value left out" }]);
  });

  it("says what the hops reported", () => {
    expect(entryOf(exchange())["_hopgate"]).toMatchObject({
      hops: [{ name: "ingress", total_us: 10_000, self_us: 1000, wait_us: 0, upstream_us: 9000 }],
    });
  });

  it("takes the size of the content from the headers, but not for HEAD", () => {
    const size = (from: ArchivedExchange): unknown => (entryOf(from).response["content"] as Fields)["size"];
    expect(size(exchange({}, { "content-length": "7" }))).toBe(7);
    expect(size(exchange({ method: "HEAD", responseBytes: 0 }, { "content-length": "7" }))).toBe(0);
    expect(size(exchange({}, { "content-length": "7, 7" }))).toBe(5);
  });
});

describe("the timings", () => {
  it.each([
    ["a new connection", TIMES, { blocked: 0.5, dns: 1, connect: 7.5, send: 0, wait: 11, receive: 10, ssl: 5.5 }],
    ["a kept connection", KEPT, { blocked: -1, dns: -1, connect: -1, send: 0, wait: 20, receive: 10, ssl: -1 }],
  ])("of %s add up to the time of the entry", (_what, times, timings) => {
    expect(timingsOf(times)).toEqual(timings);
    const { ssl: _partOfConnect, ...parts } = timings;
    const sum = Object.values(parts).reduce((total, part) => total + Math.max(0, part), 0);
    expect(sum).toBe(times.total_us / 1000);
  });
});

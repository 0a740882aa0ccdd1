import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plain, type Paint } from "../../../shim/output/colours.js";
import { columns } from "../../../shim/output/text.js";
import { type ClientTimes, type Trace, tracePath } from "../../../shim/trace/path.js";
import { parseServerTiming } from "../../../shim/trace/server-timing.js";
import { drawWaterfall, type Exchange, styleFor } from "../../../shim/trace/waterfall.js";
import { clientTimes, duration_us, entriesOf, hopAccount } from "./arbitrary.js";

function trace(header: string, client: ClientTimes): Trace {
  return tracePath(parseServerTiming([header]), client);
}

function drawing(lines: string): string {
  return lines.replace(/^\n|\n$/g, "");
}

const chat: Exchange = {
  method: "POST",
  url: "https://agents.example.internal/v1/chat/completions",
  status: 200,
  backend: "agents",
};

describe("drawings", () => {
  it("show a streamed completion through two hops, with a wait for a token", () => {
    const path = trace(
      "app;dur=122, agents;dur=163.5, agents-upstream;dur=123.2, agents-wait;dur=40.2, ingress;dur=164.052, ingress-upstream;dur=164",
      { connect_us: 1830, headers_us: 166_310, ttft_us: 168_100, total_us: 316_000 },
    );
    expect(drawWaterfall(chat, path, { width: 80, unicode: true, paint: plain })).toBe(
      drawing(`
POST https://agents.example.internal/v1/chat/completions 200
backend agents · client → ingress → agents → service

                    0                    158               316  ms
client (connect)    ▎                                            1.83
  network           ▏                                            0.428
  ingress           ▏                                            0.052
    network         ▏                                            0.500
    agents          ▏                                            0.100
      wait          ▒▒▒▒▒▒                                      40.2
      network            ▕                                       1.20
      service (app)       ████████████████▏                    122
stream                                    ░░░░░░░░░░░░░░░░░░░░ 150     ◀ slowest
first token                               ▲                    168
end                                                          ▲ 316
`),
    );
  });

  it("show a local reply of a hop in ASCII", () => {
    const path = trace("ingress;dur=0.412, ingress-upstream;dur=0", {
      connect_us: 0,
      headers_us: 1210,
      total_us: 1260,
    });
    const exchange = { method: "GET", url: "https://kb.example.internal/", status: 401 };
    expect(drawWaterfall(exchange, path, { width: 60, unicode: false, paint: plain })).toBe(
      drawing(`
GET https://kb.example.internal/ 401
client > ingress

                 0            0.630     1.26 ms
client (connect)                             0
  network        #################           0.798 < slowest
  ingress                         #########  0.412
stream                                     - 0.050
end                                        ^ 1.26
`),
    );
  });

  it("show what has no place and what contradicts itself, below", () => {
    const path = trace("total;dur=8, db;dur=3, cache;desc=hit, ingress;dur=12, ingress-upstream;dur=11.93", {
      connect_us: 0,
      headers_us: 11_310,
      total_us: 11_316,
    });
    expect(drawWaterfall(chat, path, { width: 100, unicode: true, paint: plain })).toBe(
      drawing(`
POST https://agents.example.internal/v1/chat/completions 200
backend agents · client → ingress → service

                    0                              6.00                        12.0 ms
client (connect)                                                                     0
  network                                                                            0
  ingress           ▍                                                                0.070
    network         ▐████████████████████                                            3.93
    service (total)                      ██████████████████████████████████████████  8.00  ◀ slowest
stream                                                                            ▕  0.006
end                                                                            ▲    11.3
also reported: db 3 ms, cache "hit"
note: the client had 11.3 ms for ingress, which took 12.0 ms: the two contradict each other by 0.690
ms
`),
    );
  });
});

describe("a drawing", () => {
  const path = trace("ingress;dur=300, ingress-upstream;dur=299.95", {
    connect_us: 0,
    headers_us: 301_000,
    total_us: 301_000,
  });

  it("leaves out what may be secret in a URL", () => {
    const exchange = { ...chat, url: "https://user:s3cret@kb.example.internal/a?key=s3cret#s3cret" };
    const text = drawWaterfall(exchange, path, { width: 80, unicode: true, paint: plain });
    expect(text).toContain("POST https://kb.example.internal/a 200");
    expect(text).not.toContain("s3cret");
  });

  it("lets no header steer the terminal", () => {
    const hostile = tracePath([{ name: "x", description: "\u001b[2J\u009b2J\n" }], {
      connect_us: 0,
      headers_us: 1,
      total_us: 1,
    });
    const exchange = { method: "GET\u0007", url: "http://x/\u001b]0;t\u0007", status: 200, backend: "\u001b[31m" };
    const text = drawWaterfall(exchange, hostile, { width: 80, unicode: true, paint: plain });
    expect(text.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    expect(text).toContain('also reported: x "?[2J?2J?"');
  });

  it("marks what is thousands of times shorter than the whole, with its true duration", () => {
    const line = drawWaterfall(chat, path, { width: 60, unicode: true, paint: plain })
      .split("\n")
      .find((candidate) => candidate.includes("  ingress"));
    expect(line).toMatch(/^ {2}ingress +▏ +0\.050$/);
  });

  it("marks exactly one segment as the slowest", () => {
    const text = drawWaterfall(chat, path, { width: 80, unicode: true, paint: plain });
    expect(text.split("\n").filter((line) => line.endsWith("◀ slowest"))).toEqual([
      expect.stringContaining("service + network") as unknown,
    ]);
  });

  it("names each of eight hops in the narrowest drawing", () => {
    const hops = [8, 7, 6, 5, 4, 3, 2, 1].map((n) => `gateway-${String(n)};dur=9, gateway-${String(n)}-upstream;dur=9`);
    const deep = trace(hops.join(), { connect_us: 0, headers_us: 9000, total_us: 9000 });
    const lines = drawWaterfall(chat, deep, { width: 60, unicode: true, paint: plain }).split("\n").slice(3);
    for (const hop of deep.hops) expect(lines.filter((line) => line.includes(` ${hop.name} `))).toHaveLength(1);
  });

  it("leaves the middle of the axis out where there is no room for it", () => {
    const long = trace("", { connect_us: 0, headers_us: 1, total_us: 123_456_789_000 });
    const [, , , axis, ...lines] = drawWaterfall(chat, long, { width: 60, unicode: true, paint: plain }).split("\n");
    const end = lines.find((line) => line.startsWith("end")) ?? "";
    expect(axis).toMatch(/^ +0 +123456789 +ms$/);
    expect(axis?.indexOf("123456789")).toBe(end.indexOf("▲") + 1 - "123456789".length);
  });

  it("is the same with colours, colours aside", () => {
    const shouting: Paint = (_colour, text) => `\u001b[1m${text}\u001b[0m`;
    const coloured = drawWaterfall(chat, path, { width: 80, unicode: true, paint: shouting });
    expect(stripVTControlCharacters(coloured)).toBe(
      drawWaterfall(chat, path, { width: 80, unicode: true, paint: plain }),
    );
  });

  it("fits its width and shows every duration, whatever the trace", () => {
    const text = fc.string({ unit: "binary" });
    const exchange = fc.record({
      method: text,
      url: text,
      status: fc.integer({ min: 100, max: 599 }),
      backend: fc.option(text, { nil: undefined }),
    });
    const own = fc.array(
      fc.record({ name: fc.stringMatching(/^[a-z]{1,90}$/), duration: duration_us, description: text }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(
        exchange,
        own,
        fc.array(hopAccount, { maxLength: 8 }),
        clientTimes,
        fc.integer({ min: 0, max: 300 }),
        fc.boolean(),
        (exchanged, entries, hops, client, width, unicode) => {
          const path = tracePath([...entries, ...hops.flatMap(entriesOf)], client);
          const lines = drawWaterfall(exchanged, path, { width, unicode, paint: plain }).split("\n");
          for (const line of lines) expect(columns(line)).toBeLessThanOrEqual(Math.min(120, Math.max(60, width)));
          // Below heading, empty line and axis: one line for each segment, in their order.
          const drawn = lines
            .slice(4, 4 + path.segments.length)
            .map((line) => / ([\d.]+)(?: +[◀<] slowest)?$/.exec(line)?.[1]);
          expect(drawn).not.toContain(undefined);
          const shown_ms = drawn.reduce((sum, duration) => sum + Number(duration), 0);
          const true_us = path.segments.reduce((sum, segment) => sum + segment.duration_us, 0);
          // Each number is rounded to half a percent, or half a millisecond above a hundred.
          expect(Math.abs(shown_ms - true_us / 1000)).toBeLessThanOrEqual(0.006 * (true_us / 1000) + 0.001);
        },
      ),
    );
  });
});

describe("the style for an output", () => {
  it("takes width, locale and colours from where it is written to", () => {
    const stdout = { write: () => true, isTTY: true, columns: 100 };
    const stderr = { write: () => true };
    const io = { stdout, stderr, env: { LANG: "en_US.UTF-8" } };
    expect(styleFor(io)).toMatchObject({ width: 100, unicode: true });
    expect(styleFor(io).paint("red", "x")).toBe("\u001b[31mx\u001b[0m");
    expect(styleFor(io, stderr)).toMatchObject({ width: 80, paint: plain });
  });
});

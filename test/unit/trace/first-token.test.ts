import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FirstToken } from "../../../shim/trace/first-token.js";

const bytes = new TextEncoder();

function line(content: unknown): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n`;
}

function finds(...chunks: readonly string[]): boolean {
  const token = new FirstToken();
  return chunks.some((chunk) => token.push(bytes.encode(chunk)));
}

describe("the first token", () => {
  it("is the first non-empty content", () => {
    const token = new FirstToken();
    expect(token.push(bytes.encode(line("")))).toBe(false);
    expect(token.push(bytes.encode(line("Hi")))).toBe(true);
  });

  it.each([
    ["an end of stream", "data: [DONE]\n"],
    ["a comment", `: ${line("x")}`],
    ["another field", "event: message\n"],
    ["a content that is null", line(null)],
    ["a content that is no text", line(1)],
    ["a role alone", 'data: {"choices":[{"delta":{"role":"assistant"}}]}\n'],
    ["usage alone", 'data: {"choices":[],"usage":{}}\n'],
    [
      "JSON of another shape",
      'data: [null,{"choices":7}]\ndata: {"choices":{"a":1}}\ndata: null\ndata: {"choices":[null]}\n',
    ],
    ["a whole completion", '{"choices":[{"message":{"content":"x"}}]}\n'],
    ["a line that has not ended", line("x").trimEnd()],
  ])("is not %s", (_what, text) => {
    expect(finds(text)).toBe(false);
  });

  it.each(["\n", "\r\n", "\r"])("is found where lines end in %j", (end) => {
    expect(finds(`: hi${end}${end}${line("x").trimEnd()}${end}`)).toBe(true);
  });

  it("is found behind a line that is too long, without keeping that", () => {
    expect(finds("data: ", ...Array.from({ length: 10 }, () => "x".repeat(64 * 1024)), "\n", line("x"))).toBe(true);
  });

  it("is found wherever the body is cut", () => {
    const body = bytes.encode(`: ready\n\n${line("")}\n${line("é€😀")}`);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: body.length })), (cuts) => {
        const token = new FirstToken();
        const places = [0, ...cuts.toSorted((a, b) => a - b), body.length];
        const found = places.slice(1).map((end, index) => token.push(body.subarray(places[index], end)));
        expect(found.indexOf(true)).toBe(found.findIndex((_, index) => places[index + 1] === body.length));
      }),
    );
  });

  it("is looked for in any bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const token = new FirstToken();
        for (const chunk of chunks) token.push(chunk);
      }),
    );
  });
});

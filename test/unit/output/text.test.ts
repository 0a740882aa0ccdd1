import fc from "fast-check";
import { expect, it } from "vitest";
import { columns, fit, harmless, printable, shownUrl, wrap } from "../../../shim/output/text.js";

it("printable leaves one harmless character for each", () => {
  expect(printable("a\u001b[2Jé😀\n~")).toBe("a?[2J???~");
});

it("text of others in lines keeps its letters, and nothing that steers a terminal or turns its direction", () => {
  expect(harmless("grün \u2713\n\tnext")).toBe("grün \u2713\n\tnext");
  expect(harmless("\x1b]0;title\x07\x1b[2J\r\u202e\x9b31m")).toBe("?]0;title??[2J???31m");
});

it.each([
  ["https://a.example/b?key=1#c", "https://a.example/b"],
  ["https://user:pass@a.example/b@c", "https://a.example/b@c"],
  ["https://u@v:p@a.example", "https://a.example/"],
  ["https:user:S3CRET@127.0.0.1:1/", "https://127.0.0.1:1/"],
  ["https:///user:S3CRET@h", "https://h/"],
  ["https:\\\\user:S3CRET@h", "https://h/"],
  [" https://user:S3CRET@h/a", "https://h/a"],
  ["user:S3CRET@host/path", "host/path"],
  ["//user:S3CRET@host/path?a", "host/path"],
  ["https://user:S3/CRET@host/path", "https://host/path"],
  ["https://user:S3CRET@h:port/", "https://h:port/"],
  ["/users/@me?token=S3CRET", "/users/@me"],
  ["a.example/b", "a.example/b"],
])("of the URL %s is shown %s", (url, shown) => {
  expect(shownUrl(url)).toBe(shown);
});

it("columns does not count colours", () => {
  expect(columns("\u001b[1;31mred\u001b[0m")).toBe(3);
});

it.each([
  ["abc", 3, "abc"],
  ["abcd", 3, "ab~"],
  ["abcd", 1, "~"],
  ["abcd", 0, ""],
])("%s cut to %d columns is %j", (text, width, expected) => {
  expect(fit(text, width, "~")).toBe(expected);
});

it("wrap breaks at spaces, and inside a word only where it must", () => {
  expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
  expect(wrap("a abcdefghij b", 4)).toEqual(["a", "abcd", "efgh", "ij b"]);
});

it("wrap loses nothing but spaces and exceeds no line", () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 20 }), (text, width) => {
      const lines = wrap(text, width);
      expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
    }),
  );
});

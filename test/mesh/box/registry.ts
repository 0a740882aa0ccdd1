import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

import { run } from "./command.js";
import type { Surroundings } from "./cluster.js";
import { Part } from "./part.js";

/** An OCI registry without TLS and without passwords. What was pushed outlives its end, until the box is closed. */
export class Registry {
  /** Such as `10.77.0.1:5000`. */
  readonly host: string;
  readonly part: Part;

  constructor(
    private readonly surroundings: Surroundings,
    address: string,
  ) {
    const { keeper, binaries, files } = surroundings;
    this.host = `${address}:5000`;
    const program = {
      file: binaries.path("crane"),
      args: ["registry", "serve", "--address", this.host, "--disk", files.path("registry")],
      cwd: files.path(""),
      logPath: files.path("registry.log"),
    };
    this.part = new Part("registry", keeper, program, async () => (await fetch(`http://${this.host}/v2/`)).ok);
  }

  async start(): Promise<void> {
    await mkdir(this.surroundings.files.path("registry"), { recursive: true });
    await this.part.start();
  }

  /**
   * Pushes a module as the image that Istio calls compat: one layer, tar and gzip, with `plugin.wasm`.
   * Returns its reference with digest, such as `10.77.0.1:5000/hopgate@sha256:…`.
   */
  async push(wasmPath: string, repository: string, tag: string): Promise<string> {
    const { binaries, files } = this.surroundings;
    const folder = files.path("image");
    await mkdir(folder, { recursive: true });
    await copyFile(wasmPath, join(folder, "plugin.wasm"));
    const layer = join(folder, "layer.tar.gz");
    await run("tar", ["-C", folder, "-czf", layer, "plugin.wasm"]);
    const reference = `${this.host}/${repository}`;
    const printed = await run(binaries.path("crane"), [
      "append",
      "--oci-empty-base",
      "-f",
      layer,
      "-t",
      `${reference}:${tag}`,
    ]);
    await rm(folder, { recursive: true });
    return printed.trim();
  }
}

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { KeyPair } from "../render/envoy/input.js";
import type { TlsIdentity } from "./server.js";

/** Files in the work dir of a local mesh, which goes with everything in it when the mesh ends. */
export class WorkFiles {
  private readonly workDir: string;

  constructor(workDir: string) {
    this.workDir = workDir;
  }

  path(name: string): string {
    return join(this.workDir, name);
  }

  /** Appears whole or not at all, since Envoy watches these files; private, since keys lie among them. */
  async write(name: string, text: string): Promise<string> {
    const path = this.path(name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
    return path;
  }

  /** As `write`, but leaves a file alone that says the same, for Envoy would take it for a change. Says whether it did write. */
  async update(name: string, text: string): Promise<boolean> {
    const before = await readFile(this.path(name), "utf8").catch(() => undefined);
    if (before === text) return false;
    await this.write(name, text);
    return true;
  }

  async writePair(name: string, { certificate, key }: TlsIdentity): Promise<KeyPair> {
    const [certificateFile, keyFile] = await Promise.all([
      this.write(`${name}-certificate.pem`, certificate),
      this.write(`${name}-key.pem`, key),
    ]);
    return { certificateFile, keyFile };
  }
}

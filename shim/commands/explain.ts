import { readFileSync } from "node:fs";

import { loadMesh } from "../config/load.js";
import { drawExplanation } from "../explain/draw.js";
import { explainRequest } from "../explain/path.js";
import type { Io } from "../output/io.js";
import { wasmPath } from "../package-root.js";
import { configPath } from "./config-path.js";
import { parseHeaders, parseMethod } from "./request-options.js";

export interface ExplainOptions {
  readonly header: readonly string[];
  readonly request: string;
  readonly hop?: string | undefined;
  readonly config?: string | undefined;
  readonly output: "text" | "json";
}

/**
 * Says where the mesh would send a request, and why; the filter decides, in the emulator, and nothing is sent.
 * Returns 0 also where the answer is that a hop refuses the request.
 */
export async function explain(url: string, options: ExplainOptions, io: Io): Promise<number> {
  const config = configPath(options.config);
  const mesh = await loadMesh(config);
  const request = { url, method: parseMethod(options.request), headers: parseHeaders(options.header) };
  const explanation = await explainRequest(readFileSync(wasmPath()), mesh, request, options.hop);
  const text =
    options.output === "json"
      ? JSON.stringify({ config, mesh: mesh.name, ...explanation }, null, 2)
      : `${drawExplanation(explanation, io)}\n\n${mesh.name} (${config})`;
  io.stdout.write(`${text}\n`);
  return 0;
}

import { readFileSync } from "node:fs";

import { ConfigError } from "../config/config-error.js";
import { loadMesh } from "../config/load.js";
import type { Mesh } from "../config/model.js";
import { readYaml } from "../config/yaml-source.js";
import { refusalsOf } from "../explain/filter.js";
import { refusalProblem } from "../explain/refusal.js";
import { wasmPath } from "../package-root.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";

/**
 * Reads a hopgate.yaml, and asks the filter itself, in the emulator, whether each hop would take its configuration.
 * @throws ConfigError with everything that is wrong, and where in the file
 */
export async function loadChecked(file: string): Promise<Mesh> {
  const mesh = await loadMesh(file);
  await askFilter(mesh, file, readFileSync(wasmPath()));
  return mesh;
}

/**
 * Asks a module whether it would take the configuration of each hop of the mesh in `file`.
 * @throws ConfigError with what it refuses
 */
export async function askFilter(mesh: Mesh, file: string, module: Uint8Array): Promise<void> {
  const hops = [...mesh.hops.values()];
  const configs = hops.map(({ name }) => pluginConfigFor(mesh, name));
  const refusals = await refusalsOf(module, configs);
  if (refusals.every((refusal) => refusal === undefined)) return;
  const source = readYaml(readFileSync(file, "utf8"), file);
  throw new ConfigError(
    hops.flatMap((hop, index) => {
      const reason = refusals[index];
      return reason === undefined ? [] : [refusalProblem(file, source, hop, reason)];
    }),
  );
}

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
  const hops = [...mesh.hops.values()];
  const configs = hops.map(({ name }) => pluginConfigFor(mesh, name));
  const refusals = await refusalsOf(readFileSync(wasmPath()), configs);
  if (refusals.every((refusal) => refusal === undefined)) return mesh;
  const source = readYaml(readFileSync(file, "utf8"), file);
  throw new ConfigError(
    hops.flatMap((hop, index) => {
      const reason = refusals[index];
      return reason === undefined ? [] : [refusalProblem(file, source, hop, reason)];
    }),
  );
}

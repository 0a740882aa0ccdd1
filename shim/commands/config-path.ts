import { existsSync } from "node:fs";

import { exampleConfigPath } from "../package-root.js";

/** What commands read where no file is named. */
export const DEFAULT_CONFIG = "hopgate.yaml";

/** The file named, else ./hopgate.yaml, else the shipped example. */
export function configPath(named: string | undefined): string {
  return named ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : exampleConfigPath());
}

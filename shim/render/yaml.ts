import { Document } from "yaml";

import type { Json } from "./envoy/json.js";

/**
 * YAML documents, in the order given. Text that YAML 1.1 would take for something else (on, no, y, n, 1e3, 12:30) is quoted:
 * kubectl and its libraries read YAML 1.1.
 */
export function yamlText(values: readonly Json[]): string {
  const documents = values.map((value) =>
    new Document(value, { version: "1.2", compat: "yaml-1.1", aliasDuplicateObjects: false }).toString({
      lineWidth: 0,
    }),
  );
  return documents.join("---\n");
}

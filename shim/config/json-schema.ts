import { z } from "zod";
import { meshFile } from "./schema.js";

/**
 * The JSON Schema of hopgate.yaml (draft 2020-12) as text, for editors: what fields there are, not how they go
 * together.
 */
export function meshJsonSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(meshFile, { target: "draft-2020-12", io: "input" });
  const named = { $schema, $id: "urn:hopgate:hopgate.schema.json", title: "hopgate.yaml", ...schema };
  return `${JSON.stringify(named, null, 2)}\n`;
}

/** Writes what is generated from the sources: `npm run generate`, in the root of the repository. */
import { writeFileSync } from "node:fs";
import { meshJsonSchema } from "./json-schema.js";

writeFileSync("manifests/hopgate.schema.json", meshJsonSchema());

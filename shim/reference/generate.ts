/** Writes what is generated from the sources: `npm run generate`, in the root of the repository. */
import { readFileSync, writeFileSync } from "node:fs";

import { meshJsonSchema } from "../config/json-schema.js";
import { RENDERED_EXAMPLES, renderedExample } from "./examples.js";
import { reference } from "./reference.js";

writeFileSync("manifests/hopgate.schema.json", meshJsonSchema());
writeFileSync("manifests/reference.md", await reference(readFileSync("filter/errors.ts", "utf8")));
for (const name of RENDERED_EXAMPLES) {
  const file = `manifests/examples/${name}/hopgate.yaml`;
  writeFileSync(`manifests/examples/${name}/resources.yaml`, renderedExample(readFileSync(file, "utf8"), file));
}

import { ConfigError } from "./config-error.js";
import { withoutFindings } from "./draft.js";
import { type Finding, renderPath } from "./finding.js";
import { meshOf } from "./mesh-of.js";
import type { Mesh } from "./model.js";
import { ruleFindings } from "./rules.js";
import { schemaFindings } from "./schema-findings.js";
import { meshFile } from "./schema.js";
import { readYaml } from "./yaml-source.js";

/**
 * Reads the text of a hopgate.yaml. `fileName` is what messages call it.
 *
 * Throws ConfigError with everything that is wrong, each with line, column and what to write instead. If the text is
 * no YAML, that is all it says; else fields and rules are checked together.
 */
export function parseMesh(text: string, fileName: string): Mesh {
  const source = readYaml(text, fileName);
  const parsed = meshFile.safeParse(source.value);
  const ofSchema = parsed.success ? [] : schemaFindings(meshFile, source.value, parsed.error.issues);
  const ofRules = parsed.success ? ruleFindings(parsed.data) : ruleFindings(withoutFindings(source.value, ofSchema));
  const findings = [...ofSchema, ...ofRules.filter((finding) => !isConsequence(finding, ofSchema))];
  if (!parsed.success || findings.length > 0) {
    throw new ConfigError(
      findings.map(({ path, part, message, fix, other }) => {
        const line = other === undefined ? "" : ` (line ${source.placeOf(other, "key").line})`;
        const place = source.placeOf(path, part);
        return { file: fileName, ...place, path: renderPath(path), message: `${message}${line}`, fix };
      }),
    );
  }
  return meshOf(parsed.data);
}

/** What a rule says about an entry in which the schema found something wrong may follow from just that. */
function isConsequence(finding: Finding, ofSchema: readonly Finding[]): boolean {
  return ofSchema.some(({ path }) => finding.path.every((step, index) => path[index] === step));
}

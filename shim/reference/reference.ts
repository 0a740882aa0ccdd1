import { meshJsonSchema } from "../config/json-schema.js";
import { run } from "../run.js";
import { configurationReference } from "./configuration.js";
import { errorReference } from "./errors.js";

/** The commands in the order of `hopgate --help`. */
const COMMANDS = ["up", "envoy which", "envoy install", "init", "check", "explain", "trace"] as const;

/** manifests/reference.md. `errorsSource` is the text of filter/errors.ts. */
export async function reference(errorsSource: string): Promise<string> {
  const commands = [];
  for (const command of COMMANDS) {
    commands.push(`### hopgate ${command}\n\n\`\`\`text\n${(await help(command.split(" "))).trim()}\n\`\`\``);
  }
  return `# Reference

Generated from the sources by \`npm run generate\`; do not edit.

## Commands

${commands.join("\n\n")}

Every command exits with 0 if it did what was asked, 1 if something failed, 2 if the input has to be mended, and 130 if it was interrupted.

## hopgate.yaml

\`NAME\` stands for a name that you choose, \`[]\` for each entry of a list.

${configurationReference(meshJsonSchema())}

## Answers of the filter

\`application/problem+json\` (RFC 9457) with the code in \`code\` and in the header \`x-hopgate-error\`; for gRPC requests a status with
the same code in \`x-hopgate-error\`. The access log has it as \`hopgate_CODE\` in \`%RESPONSE_CODE_DETAILS%\`.

${errorReference(errorsSource)}
`;
}

async function help(command: readonly string[]): Promise<string> {
  let text = "";
  const stdout = { write: (part: string) => (text += part), columns: 100 };
  await run([...command, "--help"], { stdout, stderr: stdout, env: {} }, new AbortController().signal);
  return text;
}

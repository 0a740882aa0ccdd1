import { ConfigError, type Problem } from "../config/config-error.js";
import type { Mesh } from "../config/model.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { pluginConfigFor } from "../render/plugin-config-for.js";
import { DEFAULT_CONFIG } from "./config-path.js";
import { loadChecked } from "./preflight.js";

export interface CheckOptions {
  readonly output: "text" | "json";
}

/** What was found in one file: what it says, or what is wrong with it. */
interface Checked {
  readonly file: string;
  readonly problems: readonly Problem[];
  readonly summary?: Summary;
}

interface Summary {
  readonly routes: number;
  readonly backends: number;
  readonly hops: number;
  /** Which hops check callers, and by which validators. */
  readonly checks: readonly { readonly hop: string; readonly validators: readonly string[] }[];
  /** Which hops add ID tokens, and to requests for which backends. */
  readonly injects: readonly { readonly hop: string; readonly backends: readonly string[] }[];
}

/**
 * Checks files without touching the network: the schema, the rules, and what each hop's filter says to its configuration.
 * Returns 0 if nothing is wrong with any, else 2.
 */
export async function check(files: readonly string[], options: CheckOptions, io: Io): Promise<number> {
  const checked: Checked[] = [];
  for (const file of files.length === 0 ? [DEFAULT_CONFIG] : files) checked.push(await checkFile(file));
  const ok = checked.every(({ problems }) => problems.length === 0);
  if (options.output === "json") io.stdout.write(`${JSON.stringify({ ok, files: checked.map(asJson) }, null, 2)}\n`);
  else print(checked, io);
  return ok ? 0 : 2;
}

async function checkFile(file: string): Promise<Checked> {
  try {
    return { file, problems: [], summary: summaryOf(await loadChecked(file)) };
  } catch (error) {
    if (error instanceof ConfigError) return { file, problems: error.problems };
    throw error;
  }
}

function summaryOf(mesh: Mesh): Summary {
  const checks: Summary["checks"][number][] = [];
  const injects: Summary["injects"][number][] = [];
  for (const hop of mesh.hops.keys()) {
    const config = pluginConfigFor(mesh, hop);
    const validators = Object.keys(config.validators ?? {});
    const backends = Object.entries(config.backends).flatMap(([name, { token }]) =>
      token === undefined ? [] : [name],
    );
    if (validators.length > 0) checks.push({ hop, validators });
    if (backends.length > 0 && mesh.identity.mode !== "off") injects.push({ hop, backends });
  }
  return { routes: mesh.routes.length, backends: mesh.backends.size, hops: mesh.hops.size, checks, injects };
}

function asJson({ file, problems, summary }: Checked): object {
  const withoutFile = problems.map(({ line, column, path, message, fix }) => ({ line, column, path, message, fix }));
  return { file, problems: withoutFile, ...summary };
}

/** Problems on stderr, a line each, as compilers write them; what is good, on stdout. */
function print(checked: readonly Checked[], io: Io): void {
  for (const { file, problems, summary } of checked) {
    if (summary !== undefined) io.stdout.write(`${colours(io)("green", "ok")} ${file}: ${sentenceOf(summary)}\n`);
    else io.stderr.write(`${new ConfigError(problems).message}\n`);
  }
  const found = checked.reduce((sum, { problems }) => sum + problems.length, 0);
  if (found === 0) return;
  const bad = checked.filter(({ problems }) => problems.length > 0).length;
  const where = checked.length === 1 ? "" : ` in ${bad} of ${checked.length} files`;
  io.stderr.write(`${colours(io, io.stderr)("red", "hopgate:")} ${count(found, "problem")}${where}\n`);
}

function sentenceOf({ routes, backends, hops, checks, injects }: Summary): string {
  const counts = [count(routes, "route"), count(backends, "backend"), count(hops, "hop")].join(", ");
  const callers = checks.map(({ hop, validators }) => `${hop} checks callers by ${validators.join(", ")}`);
  const tokens = injects.map(({ hop, backends: names }) => `${hop} adds the ID token for ${names.join(", ")}`);
  return [counts, ...callers, ...(tokens.length === 0 ? ["no hop adds ID tokens"] : tokens)].join("; ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

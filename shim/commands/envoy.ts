import { locateEnvoy } from "../envoy/locate.js";
import type { Io } from "../output/io.js";

export interface EnvoyOptions {
  readonly envoyPath?: string | undefined;
  readonly output: "text" | "json";
}

/** Says which Envoy `hopgate up` would run; with `install`, gets it first if there is none. */
export async function envoy(
  options: EnvoyOptions & { readonly install: boolean },
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  const { envoyPath, install, output } = options;
  const notify = (line: string): void => void io.stderr.write(`${line}\n`);
  const { path, version, source } = await locateEnvoy({ envoyPath, env: io.env, install, notify, signal });
  io.stdout.write(output === "json" ? `${JSON.stringify({ path, version, source }, null, 2)}\n` : `${path}\n`);
  return 0;
}

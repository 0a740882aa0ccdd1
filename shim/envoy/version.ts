import { type Outcome, runToEnd } from "./process-group.js";

/** What a program said that was asked for Envoy's version. */
export type VersionAnswer =
  | { readonly envoy: true; readonly version: string }
  /** `reason`: why it is not taken for Envoy; one line. */
  | { readonly envoy: false; readonly reason: string };

const ANSWER_TIMEOUT_MS = 10_000;

/**
 * Runs `path --version`. A program that cannot run is an answer too.
 *
 * @throws `signal.reason` at an abort, and nothing else.
 */
export async function askVersion(path: string, signal?: AbortSignal): Promise<VersionAnswer> {
  try {
    const outcome = await runToEnd(path, ["--version"], { timeoutMs: ANSWER_TIMEOUT_MS, signal });
    if (outcome.timedOut)
      return { envoy: false, reason: `it does not run: no answer within ${ANSWER_TIMEOUT_MS / 1000} s` };
    if (outcome.code !== 0) return { envoy: false, reason: `it does not run: ${lastWords(outcome)}` };
    const version = parseVersion(outcome.stdout);
    return version === undefined ? { envoy: false, reason: "its --version is not Envoy's" } : { envoy: true, version };
  } catch (error) {
    signal?.throwIfAborted();
    return { envoy: false, reason: `it does not run: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/**
 * The number in what `envoy --version` prints: `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`, with
 * `1.40.1-dev` in builds between releases (Envoy's source/common/version/version.cc).
 */
export function parseVersion(text: string): string | undefined {
  return /version: [^/\s]*\/(\d+\.\d+\.\d+[^/\s]*)\//.exec(text)?.[1];
}

/**
 * Whether an Envoy that happens to be on PATH is used: 1.40 or a later minor of major 1. What the filter relies on
 * (proxy-wasm's behaviour, `verify_signature`, FAIL_RELOAD) was measured on 1.40.0. Envoy keeps behaviour over later
 * minors and deprecates by runtime flags; what an earlier one does has not been looked at.
 */
export function versionServes(version: string): boolean {
  const [major, minor] = version.split(".", 2).map(Number);
  return major === 1 && minor !== undefined && minor >= 40;
}

/** The end of what a failed program wrote to stderr (a loader's complaint, say), else how it ended. */
function lastWords({ stderr, code }: Outcome): string {
  return stderr.trim().split("\n").at(-1) || (code === null ? "it was killed" : `it ended with exit code ${code}`);
}

import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Signals the process group that `leader` leads: what it started too, such as the Envoy of a wrapper script.
 * Nothing happens where none of them is left. Leaders are spawned with `detached`.
 */
export function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch {
    // None of them is left.
  }
}

export interface RunOptions {
  /** The whole environment; that of hopgate unless given. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a program printed, and how it ended. */
export interface Outcome {
  /** Null if it was killed. */
  readonly code: number | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The most that is kept of stdout, and of stderr; nothing that is run here prints as much. */
const MAX_OUTPUT_LENGTH = 1024 * 1024;

/**
 * Runs a program to its end, with an empty stdin. When it ends, at the time-out, at an abort and when hopgate exits,
 * everything that it started is killed.
 *
 * @throws what the system says if it cannot be started; `signal.reason` at an abort.
 */
export async function runToEnd(file: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  const { env = process.env, timeoutMs, signal } = options;
  signal?.throwIfAborted();
  const child = spawn(file, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  const output = [child.stdout, child.stderr].map((stream) => {
    const kept = { text: "" };
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      kept.text = (kept.text + chunk).slice(-MAX_OUTPUT_LENGTH);
    });
    return kept;
  });
  const killGroup = (): void => signalGroup(child.pid, "SIGKILL");
  const giveUp = (): void => {
    killGroup();
    // One that left the group may still hold them.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    giveUp();
  }, timeoutMs);
  child.once("exit", killGroup);
  signal?.addEventListener("abort", giveUp);
  process.on("exit", killGroup);
  try {
    await closed;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    process.off("exit", killGroup);
  }
  signal?.throwIfAborted();
  const [stdout = "", stderr = ""] = output.map(({ text }) => text);
  return { code: child.exitCode, timedOut, stdout, stderr };
}

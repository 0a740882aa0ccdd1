import { readFile } from "node:fs/promises";
import { unwatchFile, watchFile } from "node:fs";

/** How often the file is looked at. Polling sees every editor's way of saving, on every file system. */
const POLL_MS = 300;

/**
 * Calls `changed` when the file says something else than `text`, and than what it said at the last call, until `signal` aborts:
 * one call at a time. A change during a call leads to one more when it is over. Resolves when the last call is over.
 */
export async function followFile(
  path: string,
  text: string,
  signal: AbortSignal,
  changed: () => Promise<void>,
): Promise<void> {
  let seen = text;
  let running = Promise.resolve();
  const look = async (): Promise<void> => {
    const now = await readFile(path, "utf8").catch(() => seen);
    if (signal.aborted || now === seen) return;
    seen = now;
    await changed();
  };
  const listener = (): void => {
    running = running.then(look);
  };
  watchFile(path, { interval: POLL_MS }, listener);
  listener(); // for a change since it was read
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  unwatchFile(path, listener);
  await running;
}

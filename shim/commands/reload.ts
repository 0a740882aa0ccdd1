import { unwatchFile, watchFile } from "node:fs";

/** How often the file is looked at. Polling sees every editor's way of saving, on every file system. */
const POLL_MS = 300;

/**
 * Calls `changed` after each change of the file, one call at a time, until `signal` aborts. A change during a call leads to one
 * more when it is over.
 */
export function onFileChange(path: string, signal: AbortSignal, changed: () => Promise<void>): void {
  let isRunning = false;
  let isStale = false;
  const react = async (): Promise<void> => {
    isStale = true;
    if (isRunning) return;
    isRunning = true;
    while (isStale && !signal.aborted) {
      isStale = false;
      await changed();
    }
    isRunning = false;
  };
  const listener = (): void => void react();
  watchFile(path, { interval: POLL_MS }, listener);
  signal.addEventListener("abort", () => unwatchFile(path, listener), { once: true });
}

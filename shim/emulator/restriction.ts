/**
 * Which host functions a guest may call while it starts and while it allocates for the host: another one
 * traps with "restricted_callback" (C++ host: wasm.cc startVm, wasm.h allocMemory).
 */

/** Thrown through the guest: the host refuses the call, which is a trap. */
export class RestrictedCall extends Error {
  override readonly name = "RestrictedCall";
}

const IN_MALLOC: ReadonlySet<string> = new Set(["proxy_log", "fd_write", "clock_time_get", "poll_oneoff"]);

/** While the module starts it may log and use WASI, but for these. */
const NOT_AT_START: ReadonlySet<string> = new Set([
  "fd_read",
  "fd_seek",
  "fd_close",
  "sched_yield",
  "proc_exit",
  "path_open",
  "path_filestat_get",
]);

export function allowedInMalloc(name: string): boolean {
  return IN_MALLOC.has(name);
}

export function allowedAtStart(module: string, name: string): boolean {
  if (module === "env") return name === "proxy_log" || name === "emscripten_notify_memory_growth";
  return !NOT_AT_START.has(name);
}

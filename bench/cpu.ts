import { readdirSync, readFileSync } from "node:fs";

import { Failure } from "../shim/errors.js";

/**
 * CPU time that a process has used so far, in microseconds: the sum over its threads, from the scheduler's own account
 * (/proc/PID/task/TID/schedstat, in nanoseconds), which time on a busy machine does not blur as a clock would be.
 *
 * @throws Failure where there is no such account: only Linux keeps it
 */
export function cpuTimeUs(pid: number): number {
  const tasks = `/proc/${String(pid)}/task`;
  try {
    return readdirSync(tasks).reduce((sum, task) => {
      const [nanoseconds = "0"] = readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ");
      return sum + Number(nanoseconds) / 1000;
    }, 0);
  } catch (cause) {
    throw new Failure(`The CPU time of process ${String(pid)} cannot be read from ${tasks}.`, {
      cause,
      fix: "The benchmark needs Linux: it goes by the kernel's account of CPU time.",
    });
  }
}

import { readFile } from "node:fs/promises";

export interface Memory {
  /** Resident now, and the most there has ever been, in bytes. */
  readonly residentBytes: number;
  readonly peakBytes: number;
}

/** The memory of a process, from /proc; undefined where there is no /proc. */
export async function memoryOf(pid: number): Promise<Memory | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return status === "" ? undefined : { residentBytes: field("VmRSS"), peakBytes: field("VmHWM") };
}

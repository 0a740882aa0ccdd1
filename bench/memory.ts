import { readFileSync } from "node:fs";

import { Failure } from "../shim/errors.js";

/** V8 reserves this much address space for each linear memory and makes only what the guest has grown to accessible. */
const RESERVATION_BYTES = 8 * 1024 ** 3;

/** Resident memory of a process, in bytes (VmRSS of /proc/PID/status). @throws Failure where there is no such account */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(procFile(pid, "status"))?.[1];
  return Number(kibibytes ?? NaN) * 1024;
}

/**
 * The size of every WebAssembly linear memory of a process, in bytes: one for each worker and one for the main thread. Envoy does not
 * tell it, so it is read from the address space (/proc/PID/maps).
 */
export function linearMemories(pid: number): readonly number[] {
  return linearMemoriesIn(procFile(pid, "maps"));
}

interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly permissions: string;
}

/** As `linearMemories`, of the text of a `maps` file: an accessible mapping that fills up a reservation of V8's with what follows. */
export function linearMemoriesIn(maps: string): readonly number[] {
  const mappings = maps.split("\n").flatMap(parseMapping);
  return mappings.flatMap(({ start, end, permissions }, index) => {
    const rest = mappings[index + 1];
    const fills = rest?.start === end && rest.permissions === "---p" && Number(rest.end - start) === RESERVATION_BYTES;
    return permissions === "rw-p" && fills ? [Number(end - start)] : [];
  });
}

function parseMapping(line: string): Mapping[] {
  const [, start, end, permissions] = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) /.exec(line) ?? [];
  if (start === undefined || end === undefined || permissions === undefined) return [];
  return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), permissions }];
}

function procFile(pid: number, name: string): string {
  const path = `/proc/${pid}/${name}`;
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new Failure(`The memory of process ${pid} cannot be read from ${path}.`, { cause });
  }
}

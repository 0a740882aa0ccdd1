/**
 * What AssemblyScript calls where a program cannot go on (an index out of range, no memory). It should never run: a trap
 * strands the other requests of the VM. If it does, the log says where.
 */

let aborting = false; // above the imports: the compiler may need `abort`, and so this, while it is at them

import { proxyLog } from "./abi";
import { Bytes } from "./bytes";
import { LogLevel } from "./log";

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (aborting) unreachable(); // the message itself did not fit into memory
  aborting = true;
  const text = Bytes.of(
    "abort: " +
      (message === null ? "" : message) +
      " at " +
      (file === null ? "" : file) +
      ":" +
      line.toString() +
      ":" +
      column.toString(),
  );
  proxyLog(LogLevel.Critical, text.pointer, text.length);
  unreachable();
}

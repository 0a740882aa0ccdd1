/**
 * What AssemblyScript calls where a program cannot go on (an index out of range, no memory). It should never run: a trap
 * strands the other requests of the VM. If it does, the log says where.
 */

let aborting = false; // above the imports: the compiler may need `abort`, and so this, while it is at them

import { proxyLog } from "./abi";
import { Bytes, Writer } from "./bytes";
import { LogLevel } from "./log";

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (aborting) unreachable(); // the message itself did not fit into memory
  aborting = true;
  const text = new Writer(512).append(Bytes.of("abort: "));
  if (message !== null) appendAscii(text, message);
  text.append(Bytes.of(" at "));
  if (file !== null) appendAscii(text, file);
  text.appendByte(COLON).appendInteger(line).appendByte(COLON).appendInteger(column);
  proxyLog(LogLevel.Critical, text.pointer, text.length);
  unreachable();
}

const COLON: i32 = 0x3a;

/** The compiler's own messages and the paths of sources: a byte of each unit is all there is. */
function appendAscii(writer: Writer, text: string): void {
  for (let i = 0; i < text.length; i++) writer.appendByte(text.charCodeAt(i));
}

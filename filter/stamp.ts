/** `x-hopgate-path`: the hops that a request has passed, with commas between their names. */
import { Ascii } from "./ascii";
import { Bytes, Writer } from "./host/bytes";

/** Hops that it names at most. */
const MAX_STAMPS: i32 = 8;

const stamped = new Writer(1024);

/** What came with `hop` behind it, valid until the next call; an edge believes nothing of what came. Null: it names enough. */
export function stamp(hop: Bytes, edge: bool, stamps: Bytes): Bytes | null {
  if (edge || stamps.length == 0) return hop;
  let count = 1;
  for (let i = stamps.indexOf(Ascii.Comma); i >= 0; i = stamps.indexOf(Ascii.Comma, i + 1)) count++;
  stamped.reset().append(stamps).appendByte(Ascii.Comma).append(hop);
  return count < MAX_STAMPS && !stamped.overflowed ? stamped : null;
}

/** `x-hopgate-path`: the hops that a request has passed, with commas between their names. */
import { Ascii } from "./ascii";
import { Bytes, Writer } from "./host/bytes";
import { HeaderMap, replaceHeader } from "./host/headers";
import { OWN_PATH } from "./names";

/** Hops that it names at most. */
const MAX_STAMPS: i32 = 8;

const stamped = new Writer(1024);

/** Adds `hop` to what came; an edge believes nothing of that. */
export function stamp(hop: Bytes, edge: bool, stamps: Bytes): void {
  if (edge || stamps.length == 0) {
    replaceHeader(HeaderMap.Request, OWN_PATH, hop);
    return;
  }
  let count = 1;
  for (let i = stamps.indexOf(Ascii.Comma); i >= 0; i = stamps.indexOf(Ascii.Comma, i + 1)) count++;
  stamped.reset().append(stamps).appendByte(Ascii.Comma).append(hop);
  if (count < MAX_STAMPS && !stamped.overflowed) replaceHeader(HeaderMap.Request, OWN_PATH, stamped);
}

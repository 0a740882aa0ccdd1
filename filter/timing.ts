/**
 * How the time of a request is told, in the syntax of Server-Timing (https://www.w3.org/TR/server-timing/):
 *
 *     agents;dur=12.402, agents-upstream;dur=12.050, agents-wait;dur=0.310
 *
 * Hops tell each other in `x-hopgate-timing`, innermost first, so that what reaches the edge reads from the service outwards.
 */
import { Ascii, isDigit, isNameByte } from "./ascii";
import { Bytes, Writer } from "./host/bytes";

const DURATION = Bytes.of(";dur=");
const UPSTREAM = Bytes.of("-upstream;dur=");
const WAIT = Bytes.of("-wait;dur=");
const NEXT = Bytes.of(", ");

/** What other hops may have put into `x-hopgate-timing` at most: eight hops with three entries each. */
export const MAX_TIMING: i32 = 2560;

/** Appends the entries of one hop, behind what is there. All times in nanoseconds. */
export function appendTiming(writer: Writer, hop: Bytes, totalNs: i64, upstreamNs: i64, waitNs: i64): void {
  if (writer.length > 0) writer.append(NEXT);
  appendMilliseconds(writer.append(hop).append(DURATION), totalNs);
  appendMilliseconds(writer.append(NEXT).append(hop).append(UPSTREAM), upstreamNs);
  if (waitNs > 0) appendMilliseconds(writer.append(NEXT).append(hop).append(WAIT), waitNs);
}

/** `12.402`: milliseconds with three decimals, rounded down. */
function appendMilliseconds(writer: Writer, ns: i64): void {
  const us = max(ns, 0) / 1000;
  const fraction = <i32>(us % 1000);
  writer
    .appendInteger(us / 1000)
    .appendByte(Ascii.Dot)
    .appendByte(Ascii.Zero + fraction / 100)
    .appendByte(Ascii.Zero + ((fraction / 10) % 10))
    .appendByte(Ascii.Zero + (fraction % 10));
}

/**
 * Whether `value` is what hops of ours write: `name;dur=digits.digits`, separated by a comma and a space. Anything else came from
 * elsewhere and is dropped whole.
 */
export function isTiming(value: Bytes): bool {
  if (value.length == 0 || value.length > MAX_TIMING) return false;
  let i = 0;
  while (true) {
    const name = i;
    while (isNameByte(value.at(i))) i++;
    if (i == name) return false;
    for (let k = 0; k < DURATION.length; k++, i++) {
      if (value.at(i) != DURATION.at(k)) return false;
    }
    const whole = i;
    while (isDigit(value.at(i))) i++;
    if (i == whole || value.at(i) != Ascii.Dot) return false;
    const fraction = ++i;
    while (isDigit(value.at(i))) i++;
    if (i == fraction) return false;
    if (i == value.length) return true;
    if (value.at(i) != Ascii.Comma || value.at(i + 1) != 0x20) return false;
    i += 2;
  }
}

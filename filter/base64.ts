/** base64url without padding (RFC 4648, section 5; RFC 7515, section 2). Strict: one spelling for each value. */
import { Ascii, isDigit, isLower } from "./ascii";
import { Bytes, Writer } from "./host/bytes";

/** Appends what `text` encodes. False: a byte outside of the alphabet, a length of 4n + 1, bits left over that are not 0, no room. */
export function decodeBase64Url(text: Bytes, into: Writer): bool {
  if ((text.length & 3) == 1) return false;
  let bits: u32 = 0;
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = digitOf(text.at(i));
    if (digit < 0) return false;
    bits = (bits << 6) | digit;
    count += 6;
    if (count >= 8) {
      count -= 8;
      into.appendByte((bits >> count) & 0xff);
    }
  }
  return (bits & ((1 << count) - 1)) == 0 && !into.overflowed;
}

function digitOf(byte: i32): i32 {
  if (<u32>(byte - 0x41) < 26) return byte - 0x41;
  if (isLower(byte)) return byte - 0x61 + 26;
  if (isDigit(byte)) return byte - 0x30 + 52;
  if (byte == Ascii.Hyphen) return 62;
  return byte == Ascii.Underscore ? 63 : -1;
}

/** The text of JSON strings: what is well formed, and what it decodes to. */
import { Ascii, isDigit } from "./ascii";
import { Bytes } from "./host/bytes";

/** Decodes the text of a JSON string byte by byte: escapes become the UTF-8 of what they stand for. */
export class Cursor {
  private text: Bytes = Bytes.empty();
  private position: i32 = 0;
  private end: i32 = 0;
  /** UTF-8 bytes of an escape that are still to come, the next one lowest. */
  private rest: u32 = 0;

  open(text: Bytes, start: i32, end: i32): void {
    this.text = text;
    this.position = start;
    this.end = end;
    this.rest = 0;
  }

  next(): i32 {
    if (this.rest != 0) {
      const byte = this.rest & 0xff;
      this.rest >>= 8;
      return byte;
    }
    if (this.position >= this.end) return -1;
    const byte = this.text.at(this.position);
    if (byte != Ascii.Backslash) {
      this.position += 1;
      return byte;
    }
    const letter = this.text.at(this.position + 1);
    if (letter != 0x75) {
      this.position += 2;
      return unescaped(letter);
    }
    return this.unicode();
  }

  private unicode(): i32 {
    let point = hex4(this.text, this.position + 2);
    this.position += 6;
    if (point >= 0xd800 && point < 0xdc00) {
      point = 0x1_0000 + ((point - 0xd800) << 10) + (hex4(this.text, this.position + 2) - 0xdc00);
      this.position += 6;
    }
    if (point < 0x80) return point;
    if (point < 0x800) {
      this.rest = 0x80 | (point & 0x3f);
      return 0xc0 | (point >> 6);
    }
    if (point < 0x1_0000) {
      this.rest = 0x80 | ((point >> 6) & 0x3f) | ((0x80 | (point & 0x3f)) << 8);
      return 0xe0 | (point >> 12);
    }
    this.rest = 0x80 | ((point >> 12) & 0x3f) | ((0x80 | ((point >> 6) & 0x3f)) << 8) | ((0x80 | (point & 0x3f)) << 16);
    return 0xf0 | (point >> 18);
  }
}

/** What the letter behind a backslash stands for, or -1. */
function unescaped(letter: i32): i32 {
  switch (letter) {
    case 0x22: // "
    case 0x2f: // /
    case 0x5c: // \
      return letter;
    case 0x62: // b
      return 0x08;
    case 0x66: // f
      return 0x0c;
    case 0x6e: // n
      return 0x0a;
    case 0x72: // r
      return 0x0d;
    case 0x74: // t
      return 0x09;
    default:
      return -1;
  }
}

/** Bytes that the escape at `i` takes, a surrogate pair as one; 0 if it is none. */
export function escapeSize(text: Bytes, i: i32): i32 {
  const letter = text.at(i + 1);
  if (letter != 0x75) return unescaped(letter) < 0 ? 0 : 2;
  const point = hex4(text, i + 2);
  if (point < 0 || (point >= 0xdc00 && point < 0xe000)) return 0;
  if (point < 0xd800 || point >= 0xe000) return 6;
  if (text.at(i + 6) != Ascii.Backslash || text.at(i + 7) != 0x75) return 0;
  const low = hex4(text, i + 8);
  return low >= 0xdc00 && low < 0xe000 ? 12 : 0;
}

/** The value of four hexadecimal digits at `i`, or -1. */
function hex4(text: Bytes, i: i32): i32 {
  let value = 0;
  for (let k = 0; k < 4; k++) {
    const byte = text.at(i + k);
    const letter = (byte | 0x20) - 0x61;
    if (isDigit(byte)) value = value * 16 + (byte - 0x30);
    else if (byte >= 0 && <u32>letter < 6) value = value * 16 + letter + 10;
    else return -1;
  }
  return value;
}

/** Bytes of the UTF-8 sequence at `i`, 0 if it is not well formed (RFC 3629, section 4: no overlong form, no surrogate). */
export function utf8Size(text: Bytes, i: i32): i32 {
  const lead = text.at(i);
  const second = text.at(i + 1);
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return isContinuation(second) ? 2 : 0;
  if (lead < 0xf0) {
    if (lead == 0xe0 && second < 0xa0) return 0;
    if (lead == 0xed && second >= 0xa0) return 0;
    return isContinuation(second) && isContinuation(text.at(i + 2)) ? 3 : 0;
  }
  if (lead > 0xf4 || (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90)) return 0;
  return isContinuation(second) && isContinuation(text.at(i + 2)) && isContinuation(text.at(i + 3)) ? 4 : 0;
}

function isContinuation(byte: i32): bool {
  return (byte & 0xc0) == 0x80 && byte >= 0;
}

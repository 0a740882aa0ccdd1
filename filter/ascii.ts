/** Bytes of ASCII by name, and the classes that host names, tokens and headers are made of. */

export const enum Ascii {
  Quote = 0x22,
  Percent = 0x25,
  Asterisk = 0x2a,
  Plus = 0x2b,
  Comma = 0x2c,
  Hyphen = 0x2d,
  Dot = 0x2e,
  Slash = 0x2f,
  Zero = 0x30,
  Colon = 0x3a,
  Equals = 0x3d,
  Question = 0x3f,
  At = 0x40,
  OpenBracket = 0x5b,
  Backslash = 0x5c,
  CloseBracket = 0x5d,
  Underscore = 0x5f,
  OpenBrace = 0x7b,
  Bar = 0x7c,
  CloseBrace = 0x7d,
  Tilde = 0x7e,
}

// @ts-ignore: decorator
@inline
export function isDigit(byte: i32): bool {
  return <u32>(byte - 0x30) < 10;
}

/** `a` to `z`. */
// @ts-ignore: decorator
@inline
export function isLower(byte: i32): bool {
  return <u32>(byte - 0x61) < 26;
}

/** `a` to `z` and `A` to `Z`. */
export function isLetter(byte: i32): bool {
  return byte >= 0 && isLower(byte | 0x20);
}

/** What the names of hops and backends are made of: `a` to `z`, digits and hyphens. */
// @ts-ignore: decorator
@inline
export function isNameByte(byte: i32): bool {
  return isLower(byte) || isDigit(byte) || byte == Ascii.Hyphen;
}

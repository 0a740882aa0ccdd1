/**
 * The host of a request as the routes know it: from `:authority`, in lower case, without port and without one trailing dot.
 * Anything that two readers could take for two different hosts is refused instead of repaired.
 */
import { Ascii, isDigit, isLower, isNameByte } from "./ascii";
import { Bytes, lowerCase, Writer } from "./host/bytes";

/** Longest host name (RFC 1035, section 2.3.4). */
const MAX_NAME: i32 = 253;

/** The name in an authority, without port and trailing dot. */
const part = Bytes.empty();

export class HostName {
  /** The name, after `parse` said true. */
  readonly name: Writer = new Writer(MAX_NAME + 1);

  /** False: an empty name or label, a comma, userinfo, a percent sign, a bad port, a scoped IPv6 address. */
  parse(authority: Bytes): bool {
    this.name.reset();
    return authority.at(0) == Ascii.OpenBracket ? this.parseAddress(authority) : this.parseName(authority);
  }

  private parseName(authority: Bytes): bool {
    const colon = authority.indexOf(Ascii.Colon);
    let end = colon < 0 ? authority.length : colon;
    if (colon >= 0 && !isPort(authority, colon + 1)) return false;
    if (end > 0 && authority.at(end - 1) == Ascii.Dot) end -= 1;
    if (end == 0 || end > MAX_NAME) return false;
    part.point(authority, 0, end);
    const name = this.name.appendLower(part);
    let before: i32 = Ascii.Dot;
    for (let i = 0; i < end; i++) {
      const byte = name.at(i);
      if (!isHostByte(byte) || (byte == Ascii.Dot && before == Ascii.Dot)) return false;
      before = byte;
    }
    return before != Ascii.Dot;
  }

  /** `[v6 address]` with or without a port; a zone (`%`) is refused. */
  private parseAddress(authority: Bytes): bool {
    const end = authority.indexOf(Ascii.CloseBracket);
    if (end < 3 || end > 46) return false;
    let colons = 0;
    let isDotted = false;
    let isDecimal = true; // since the last colon
    for (let i = 1; i < end; i++) {
      const byte = lowerCase(authority.at(i));
      if (byte == Ascii.Colon) {
        colons += 1;
        isDecimal = true;
      } else if (byte == Ascii.Dot) {
        isDotted = true;
      } else if (isHexadecimal(byte)) {
        if (!isDigit(byte)) isDecimal = false;
      } else {
        return false;
      }
      // A v4 address may stand at the end, and nothing else that has dots: others would take it for a host name.
      if (isDotted && (!isDecimal || byte == Ascii.Colon)) return false;
      this.name.appendByte(byte);
    }
    if (colons < 2) return false; // `[fa.ce]` is no address, and must not pass for the host `fa.ce`
    if (end == authority.length - 1) return true;
    return authority.at(end + 1) == Ascii.Colon && isPort(authority, end + 2);
  }
}

/** Digits of a port, 1 to 65535, from `start` to the end. */
function isPort(authority: Bytes, start: i32): bool {
  const size = authority.length - start;
  if (size < 1 || size > 5) return false;
  let port = 0;
  for (let i = start; i < authority.length; i++) {
    if (!isDigit(authority.at(i))) return false;
    port = port * 10 + authority.at(i) - Ascii.Zero;
  }
  return port >= 1 && port <= 65535;
}

/** What a host name may hold here. Underscores occur in practice; of bytes beyond ASCII some readers make dots (UTS 46). */
function isHostByte(byte: i32): bool {
  return isNameByte(byte) || byte == Ascii.Dot || byte == Ascii.Underscore;
}

function isHexadecimal(byte: i32): bool {
  return isDigit(byte) || (isLower(byte) && byte <= 0x66);
}

/** Whether `name` may stand in a configuration: lower-case letters, digits and hyphens in labels of 1 to 63. */
export function isConfiguredName(name: Bytes): bool {
  if (name.length == 0 || name.length > MAX_NAME) return false;
  let label = 0;
  for (let i = 0; i <= name.length; i++) {
    const byte = name.at(i);
    if (byte == Ascii.Dot || byte == -1) {
      if (label == 0 || label > 63 || name.at(i - 1) == Ascii.Hyphen) return false;
      label = 0;
      continue;
    }
    if (!isNameByte(byte) || (label == 0 && byte == Ascii.Hyphen)) return false;
    label += 1;
  }
  return true;
}

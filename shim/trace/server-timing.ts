/**
 * The Server-Timing response header (W3C Server Timing, section 4). Where the grammar is broken this reads what browsers
 * read: the parse ends at the first thing that is no metric, and whatever follows a parameter's value is skipped.
 */

/** One metric. `duration` is in whatever unit the server means, milliseconds by recommendation. */
export interface ServerTiming {
  readonly name: string;
  /** Finite; 0 where the header names a duration that is no number. Absent where it names none. */
  readonly duration?: number;
  readonly description?: string;
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const SPACES = /[ \t]*/y;
/** What may stand between metrics: recipients pass over empty list elements (RFC 9110, section 5.6.1). */
const EMPTY_ELEMENTS = /[ \t,]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
const NEXT_SEPARATOR = /[^,;]*/y;

/** Parses the values of all Server-Timing headers of a response, in their order. Takes any text, never throws. */
export function parseServerTiming(values: readonly string[]): ServerTiming[] {
  return values.flatMap(parseValue);
}

function parseValue(value: string): ServerTiming[] {
  const reader = new Reader(value);
  const metrics: ServerTiming[] = [];
  for (;;) {
    reader.take(EMPTY_ELEMENTS);
    const name = reader.take(TOKEN);
    if (name === "") return metrics;
    metrics.push(metric(name, parameters(reader)));
    if (!reader.takeCharacter(",")) return metrics;
  }
}

/** Reads `;name=value` as often as it comes. The first of a name stands; names are without case. */
function parameters(reader: Reader): Map<string, string> {
  const found = new Map<string, string>();
  while (reader.takeCharacter(";")) {
    const name = reader.takeSpaced(TOKEN).toLowerCase();
    const value = reader.takeCharacter("=") ? parameterValue(reader) : "";
    reader.take(NEXT_SEPARATOR);
    if (name !== "" && !found.has(name)) found.set(name, value);
  }
  return found;
}

function parameterValue(reader: Reader): string {
  if (!reader.ahead('"')) return reader.takeSpaced(TOKEN);
  const quoted = reader.take(QUOTED);
  // A quote that never ends takes the rest with it: what is in it cannot be told from what follows.
  if (quoted === "") reader.takeRest();
  return quoted.slice(1, -1).replace(/\\(.)/gs, "$1");
}

function metric(name: string, found: ReadonlyMap<string, string>): ServerTiming {
  const duration = found.get("dur");
  const description = found.get("desc");
  return {
    name,
    ...(duration !== undefined && { duration: finiteOrZero(Number.parseFloat(duration)) }),
    ...(description !== undefined && { description }),
  };
}

function finiteOrZero(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

/** A place in a text that only moves forward, so that parsing ends. The patterns are sticky. */
class Reader {
  private at = 0;

  constructor(private readonly text: string) {}

  /** Takes what the pattern matches here, or nothing. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text)?.[0] ?? "";
    this.at += match.length;
    return match;
  }

  takeSpaced(pattern: RegExp): string {
    this.take(SPACES);
    return this.take(pattern);
  }

  takeCharacter(character: string): boolean {
    const found = this.ahead(character);
    if (found) this.at += 1;
    return found;
  }

  takeRest(): void {
    this.at = this.text.length;
  }

  /** Whether the character comes next, spaces before it aside. */
  ahead(character: string): boolean {
    this.take(SPACES);
    return this.text.startsWith(character, this.at);
  }
}

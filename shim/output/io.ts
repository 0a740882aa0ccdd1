/**
 * Where a command reads its surroundings and writes its words: data on `stdout`, messages on `stderr`.
 * Commands take an `Io` and never touch `process`, so that a test can hand them its own.
 */

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  /** Width in characters; absent where the output is no terminal. */
  readonly columns?: number | undefined;
}

export interface Io {
  /** Where a person can answer; absent where nobody does. */
  readonly stdin?: NodeJS.ReadableStream | undefined;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The terminal of this process. */
export function processIo(): Io {
  return {
    // Looked at only when somebody is asked: reading begins with it.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
  };
}

/** Whether the locale takes characters outside ASCII: the first of LC_ALL, LC_CTYPE and LANG that is set decides (POSIX). */
export function unicode(io: Io): boolean {
  const locale = io.env["LC_ALL"] || io.env["LC_CTYPE"] || io.env["LANG"] || "";
  return /utf-?8/i.test(locale);
}

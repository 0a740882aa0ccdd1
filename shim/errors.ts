/**
 * The ways a command can end badly: two, and that somebody ended it. Everything else that is thrown is a defect of ours and is
 * reported with its stack.
 */

/**
 * Something that the user can mend: a flag, a file, a missing program.
 * Exit code 2, no stack. `message` says what is wrong and where, `fix` what to do about it.
 */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly fix: string | undefined;

  constructor(message: string, fix?: string) {
    super(message);
    this.fix = fix;
  }
}

/**
 * Something that failed although the input was good: a taken port, an Envoy that died.
 * Exit code 1. `message` says which part and why, `fix` (where there is one) the way out; the cause is kept.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly fix: string | undefined;

  constructor(message: string, options: { fix?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.fix = options.fix;
  }
}

/**
 * The user ended it, and something is to be said about what that left behind: exit code 130. `message` is that, in the words behind
 * `interrupted: `.
 */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

/** How a message names what went wrong: the code that Node gives it, such as `ENOENT`, else its own words. */
export function errorCode(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
}

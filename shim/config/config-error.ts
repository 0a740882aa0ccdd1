import { UsageError } from "../errors.js";

/** One thing that is wrong in a hopgate.yaml. */
export interface Problem {
  /** The file as the user named it. */
  readonly file: string;
  /** Counted from 1; 1:1 where the file as a whole is meant. */
  readonly line: number;
  /** Counted from 1, in UTF-16 units. */
  readonly column: number;
  /** Such as `routes[0].hosts[1]`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
}

/** A hopgate.yaml that cannot be used: all that is wrong with it at once, a line each, in the order of the file. */
export class ConfigError extends UsageError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const inOrder = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
    super(inOrder.map(renderProblem).join("\n"));
    this.problems = inOrder;
  }
}

function renderProblem(problem: Problem): string {
  const where = `${problem.file}:${problem.line}:${problem.column}`;
  const path = problem.path === "" ? "" : `${problem.path}: `;
  // Text of the file must not steer the terminal that this is printed on.
  return `${where}: ${path}${problem.message}; ${problem.fix}`.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** An error keeps the mesh from doing what it should, or opens it; a warning is worth a look. */
export type Level = "error" | "warning";

/** Something that can be wrong, with a code that stays. `Seen` is what it is judged by. */
export interface Check<Seen> {
  /** `HG`, two digits of the group, two of the check. Never used again for another. */
  readonly code: string;
  readonly level: Level;
  /** What holds where nothing is found. */
  readonly title: string;
  /** What follows where it does not hold. */
  readonly why: string;
  /** Only of what has been deployed: `deploy` cannot know it before. */
  readonly after?: true;
  readonly find: (seen: Seen) => readonly Remark[];
}

export type Remark = Finding | Unknown;

/** What is wrong with one thing. */
export interface Finding {
  /** The thing, such as `WasmPlugin agents/shop-agents`. */
  readonly about: string;
  readonly reason: string;
  readonly fix: string;
}

/** What could not be found out about one thing, and why. */
export interface Unknown {
  readonly about: string;
  readonly unknown: string;
}

/** What was read, or why it could not be. */
export type Read<T> = { readonly value: T } | { readonly unknown: string };

/** The remarks about what was read; that it could not be is the only one where it could not. */
export function whenRead<T>(
  about: string,
  read: Read<T> | undefined,
  judge: (value: T) => readonly Remark[],
): readonly Remark[] {
  if (read === undefined) return [{ about, unknown: "it was not looked at" }];
  return "value" in read ? judge(read.value) : [{ about, unknown: read.unknown }];
}

export function valueOf<T>(read: Read<T> | undefined): T | undefined {
  return read !== undefined && "value" in read ? read.value : undefined;
}

export type State = "passed" | "failed" | "unknown" | "skipped";

/** What became of a check. */
export interface Result {
  readonly code: string;
  readonly level: Level;
  readonly title: string;
  readonly why: string;
  readonly state: State;
  readonly findings: readonly Finding[];
  readonly unknowns: readonly Unknown[];
  /** Why it was skipped. */
  readonly skipped?: string;
}

/** Runs checks on what was seen. With `skipped` instead, they are skipped, for that reason. */
export function examine<Seen>(
  checks: readonly Check<Seen>[],
  seen: Seen | { readonly skipped: string },
): readonly Result[] {
  return checks.map((check) =>
    isSkipped(seen)
      ? { ...headOf(check), state: "skipped", findings: [], unknowns: [], skipped: seen.skipped }
      : resultOf(check, check.find(seen)),
  );
}

function resultOf<Seen>(check: Check<Seen>, remarks: readonly Remark[]): Result {
  const findings = remarks.filter((remark): remark is Finding => "reason" in remark);
  const unknowns = remarks.filter((remark): remark is Unknown => "unknown" in remark);
  const state = findings.length > 0 ? "failed" : unknowns.length > 0 ? "unknown" : "passed";
  return { ...headOf(check), state, findings, unknowns };
}

type Head = Pick<Result, "code" | "level" | "title" | "why">;

function headOf({ code, level, title, why }: Head): Head {
  return { code, level, title, why };
}

function isSkipped(seen: unknown): seen is { readonly skipped: string } {
  return typeof seen === "object" && seen !== null && "skipped" in seen;
}

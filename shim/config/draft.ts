import type { Finding, Path, Report } from "./finding.js";
import type { MeshFile } from "./schema.js";

/**
 * A file of which some parts may be missing: what is wrong by the schema has been taken out, and what is left has
 * its type. So the rules can speak about the rest of a file, and a user sees all problems at once.
 */
type DraftOf<T> = T extends readonly (infer E)[]
  ? readonly (DraftOf<E> | undefined)[]
  : T extends object
    ? { readonly [K in keyof T]?: DraftOf<T[K]> | undefined }
    : T;

export type Draft = DraftOf<MeshFile>;
export type DraftBackend = DraftOf<MeshFile["backends"][string]>;
export type DraftRoute = DraftOf<MeshFile["routes"][number]>;
export type DraftHop = DraftOf<MeshFile["hops"][string]>;

/** Checks how the fields of a file go together. */
export type Rule = (file: Draft, report: Report) => void;

/** The entries of a map of the file that are there. */
export function entriesOf<T>(map: Readonly<Record<string, T | undefined>> | undefined): [string, T][] {
  return Object.entries(map ?? {}).filter((entry): entry is [string, T] => entry[1] !== undefined);
}

/** The elements of a list of the file that are there, with their index. */
export function elementsOf<T>(list: readonly (T | undefined)[] | undefined): [number, T][] {
  return [...(list ?? []).entries()].filter((entry): entry is [number, T] => entry[1] !== undefined);
}

/** The entry of that name. Not `map[name]`, because `constructor` is a name like any other. */
export function named<T>(map: Readonly<Record<string, T | undefined>> | undefined, name: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, name) ? map[name] : undefined;
}

/** Whether only waypoints run the filter. A hop that says neither kind, or both, counts as a gateway. */
export function hasOnlyWaypoints(file: Draft): boolean {
  const hops = entriesOf(file.hops);
  return hops.length > 0 && hops.every(([, { gateway, waypoint }]) => waypoint !== undefined && gateway === undefined);
}

/**
 * The value without what the schema's findings are about; all that is left has its type. Keys and indices stay, so
 * that names still count as defined.
 */
export function withoutFindings(value: unknown, findings: readonly Finding[]): Draft {
  const copy: unknown = structuredClone(value);
  for (const { path } of findings) remove(copy, path);
  return typeof copy === "object" && copy !== null ? copy : {};
}

function remove(root: unknown, path: Path): void {
  let parent = root;
  for (const step of path.slice(0, -1)) {
    if (typeof parent !== "object" || parent === null) return;
    parent = (parent as Record<string | number, unknown>)[step];
  }
  const last = path.at(-1);
  if (typeof parent !== "object" || parent === null || last === undefined) return;
  (parent as Record<string | number, unknown>)[last] = undefined;
}

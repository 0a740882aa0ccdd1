import type { Resource } from "../render/istio/resource.js";

/** A field of a resource's `spec` that another manager of fields wrote. */
export interface OthersField {
  /** Below `spec`, such as `["selector", "matchLabels", "app"]`; a list is one field. */
  readonly path: readonly string[];
  readonly manager: string;
}

/**
 * Fields of the live `spec` that others wrote, and that `wanted` does not have: applying it leaves them there. By the bookkeeping of
 * server-side apply (https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management).
 */
export function othersFields(live: Resource, wanted: Resource, ownManager: string): readonly OthersField[] {
  const entries = (live.metadata["managedFields"] ?? []) as unknown as readonly ManagedFields[];
  return (
    entries
      .filter(({ subresource }) => subresource === undefined)
      // We apply; under our name, an update is somebody else's.
      .filter(({ manager, operation }) => manager !== ownManager || operation !== "Apply")
      .flatMap(({ manager = "", fieldsV1 = {} }) => {
        const paths = leaves(fieldsV1["f:spec"] ?? {}).flatMap((path) => added(wanted["spec"], path));
        const all = new Map(paths.map((path): [string, OthersField] => [path.join("."), { path, manager }]));
        return [...all.values()];
      })
  );
}

/** As messages name it. */
export function textOf({ path, manager }: OthersField): string {
  return `${["spec", ...path].join(".")} of ${JSON.stringify(manager)}`;
}

/** A merge patch that takes these fields away, and nothing else. */
export function patchWithout(fields: readonly OthersField[]): string {
  const spec: Tree = {};
  for (const { path } of fields) {
    let at = spec;
    for (const [depth, name] of path.entries()) {
      if (depth === path.length - 1) at[name] = null;
      else at = at[name] ??= {};
    }
  }
  return JSON.stringify({ spec });
}

interface ManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: FieldSet;
}

interface FieldSet {
  readonly [key: string]: FieldSet;
}

interface Tree {
  [name: string]: Tree | null;
}

const FIELD = "f:";

/** Paths to what has no named field below. */
function leaves(set: FieldSet, path: readonly string[] = []): readonly (readonly string[])[] {
  const fields = Object.entries(set).filter(([key]) => key.startsWith(FIELD));
  if (fields.length === 0) return [path];
  return fields.flatMap(([key, below]) => leaves(below, [...path, key.slice(FIELD.length)]));
}

/** The path as far as it leads to what `spec` does not have at all; none: it has all of it. */
function added(spec: unknown, path: readonly string[]): readonly (readonly string[])[] {
  const depth = path.findIndex((_, index) => !has(spec, path.slice(0, index + 1)));
  return depth < 0 ? [] : [path.slice(0, depth + 1)];
}

function has(value: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return value !== undefined;
  return typeof value === "object" && value !== null && has((value as Readonly<Record<string, unknown>>)[name], rest);
}

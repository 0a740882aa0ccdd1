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
  return entries
    .filter(({ manager, subresource }) => manager !== ownManager && subresource === undefined)
    .flatMap(({ manager = "", fieldsV1 = {} }) =>
      leaves(fieldsV1["f:spec"] ?? {}).map((path): OthersField => ({ path, manager })),
    )
    .filter(({ path }) => path.length > 0 && !has(wanted["spec"], path));
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

function has(value: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return value !== undefined;
  return typeof value === "object" && value !== null && has((value as Readonly<Record<string, unknown>>)[name], rest);
}

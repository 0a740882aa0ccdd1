import { z } from "zod";
import { closest } from "./closest.js";
import { type Finding, isSecret, type Path, show } from "./finding.js";

/** What `schema` finds wrong in `value`, in our words; empty if nothing. */
export function schemaFindings(schema: z.ZodType, value: unknown, issues: readonly z.core.$ZodIssue[]): Finding[] {
  return issues.flatMap((issue) => {
    const path = issue.path.filter((step) => typeof step !== "symbol");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => unknownField(path, key, fieldNames(schemaAt(schema, path))));
    }
    if (issue.code === "invalid_key") {
      const { noun, fix } = expectation(issue.issues[0]?.message ?? "");
      return [{ path, part: "key", message: `${show(path.at(-1))} is not ${noun}`, fix }];
    }
    const found = valueAt(value, path);
    const { noun, fix } = expectation(issue.message);
    return [{ path, part: "value", message: whatIsWrong(found, noun, path), fix: fixFor(issue, found, fix) }];
  });
}

function unknownField(parent: Path, key: string, known: readonly string[]): Finding {
  const meant = closest(key, known);
  const fix = meant === undefined ? `the fields here are ${known.join(", ")}` : `did you mean ${meant}?`;
  // Such as `{key:SECRET}`, which is a name without its space.
  if (isSecret(parent) && !/^\w+$/.test(key)) return { path: parent, part: "value", message: "unknown field", fix };
  return { path: [...parent, key], part: "key", message: `unknown field ${show(key)}`, fix };
}

function whatIsWrong(found: unknown, noun: string, path: Path): string {
  if (found === undefined) return "this field is missing";
  if (found === null) return path.length === 0 ? "the file is empty" : "nothing is written here";
  if (Array.isArray(found) && found.length === 0) return "this list is empty";
  if (isSecret(path)) return `what is written here is not ${noun}`;
  return `${show(found)} is not ${noun}`;
}

function fixFor(issue: z.core.$ZodIssue, found: unknown, fix: string): string {
  if (issue.code === "invalid_value" && typeof found === "string") {
    const meant = closest(
      found,
      issue.values.filter((value) => typeof value === "string"),
    );
    return meant === undefined ? fix : `did you mean ${meant}?`;
  }
  if (issue.code !== "invalid_type" || found === null) return fix;
  if (issue.expected === "string" && (typeof found === "number" || typeof found === "boolean"))
    return `${fix}, in quotes`;
  if (typeof found === "string" && /^(?:[0-9]+|true|false)$/.test(found)) return `${fix}, without quotes`;
  return fix;
}

/** Takes apart what the schema's checks say: `NOUN: WHAT TO WRITE`. */
function expectation(error: string): { noun: string; fix: string } {
  const colon = error.indexOf(": ");
  return { noun: error.slice(0, colon), fix: error.slice(colon + 2) };
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((parent, step) => {
    if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, step)) return undefined;
    return (parent as Record<string | number, unknown>)[step];
  }, value);
}

function schemaAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType {
  const [step, ...rest] = path;
  const inner = unwrapped(schema);
  if (step === undefined) return inner;
  if (inner instanceof z.ZodArray) return schemaAt(inner.element, rest);
  if (inner instanceof z.ZodRecord) return schemaAt(inner.valueType, rest);
  const shape = (inner instanceof z.ZodObject ? inner.shape : {}) as Record<string, z.core.$ZodType | undefined>;
  const field = shape[step];
  return field === undefined ? inner : schemaAt(field, rest);
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  const wraps = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault;
  return wraps ? unwrapped(schema.unwrap()) : schema;
}

function fieldNames(schema: z.core.$ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The reference of hopgate.yaml, from its JSON Schema. */

/** The parts of JSON Schema that zod writes for hopgate.yaml. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
}

/** One row for each field, in the order of the schema; what is inside a map or list is under its path. */
export function configurationReference(schemaText: string): string {
  const rows = fieldsOf(JSON.parse(schemaText) as Schema, "");
  return ["| field | type | default | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

function fieldsOf(schema: Schema, path: string): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const isRequired = schema.required?.includes(name) === true && field.default === undefined;
    return rowsOf(field, path === "" ? name : `${path}.${name}`, isRequired);
  });
}

function rowsOf(field: Schema, path: string, isRequired: boolean): readonly string[] {
  const initial = field.default === undefined ? (isRequired ? "required" : "") : code(JSON.stringify(field.default));
  const row = `| ${code(path)} | ${typeOf(field)} | ${initial} | ${cell(field.description ?? "")} |`;
  const values = field.additionalProperties === false ? undefined : field.additionalProperties;
  return [
    row,
    ...fieldsOf(field, path),
    ...(values === undefined ? [] : fieldsOf(values, `${path}.NAME`)),
    ...(field.items === undefined ? [] : fieldsOf(field.items, `${path}[]`)),
  ];
}

function typeOf({ type = "", enum: values, minimum, maximum, items }: Schema): string {
  if (values !== undefined) return values.map((value) => code(String(value))).join(", ");
  if (type === "array") return `list of ${items?.properties === undefined ? typeOf(items ?? {}) : "maps"}`;
  if (type === "object") return "map";
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${String(minimum)} to ${String(maximum)}`;
  return type;
}

function code(text: string): string {
  return `\`${cell(text)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

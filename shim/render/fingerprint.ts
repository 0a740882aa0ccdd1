import type { Json } from "./envoy/json.js";

/**
 * The `config` label of the gauge `hopgate_config` under which the filter reports that it runs a configuration that says this:
 * 32 bits, as eight hexadecimal digits. It tells configurations apart and secures nothing. The same as in filter/fingerprint.ts:
 * of what the JSON says, whatever the order of its members and the spaces between them.
 */
export function fingerprint(pluginConfig: string): string {
  return digest(JSON.parse(pluginConfig) as Json | null)
    .toString(16)
    .padStart(8, "0");
}

/** As `filter/json.ts` numbers them. */
enum Kind {
  Object,
  Array,
  String,
  Number,
  True,
  False,
  Null,
}

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

function digest(value: Json | null): number {
  const kind = kindOf(value);
  const seed = avalanche(FNV_OFFSET + kind);
  if (typeof value === "string" || typeof value === "number") return avalanche(hash(String(value), seed));
  if (typeof value === "boolean" || value === null) return avalanche(seed);
  if (isList(value))
    return avalanche(value.reduce<number>((sum, item) => avalanche(Math.imul(sum, FNV_PRIME) + digest(item)), seed));
  const members = Object.entries(value).map(([name, member]) =>
    avalanche(Math.imul(hash(name, FNV_OFFSET), FNV_PRIME) + digest(member)),
  );
  return avalanche(members.reduce((sum, member) => (sum + member) >>> 0, seed));
}

function kindOf(value: Json | null): Kind {
  if (value === null) return Kind.Null;
  if (typeof value === "string") return Kind.String;
  if (typeof value === "number") return Kind.Number;
  if (typeof value === "boolean") return value ? Kind.True : Kind.False;
  return isList(value) ? Kind.Array : Kind.Object;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** FNV-1a, 32 bits. */
function hash(text: string, seed: number): number {
  let value = seed;
  for (const byte of Buffer.from(text, "utf8")) value = Math.imul(value ^ byte, FNV_PRIME) >>> 0;
  return value;
}

/** The finalizer of MurmurHash3. */
function avalanche(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

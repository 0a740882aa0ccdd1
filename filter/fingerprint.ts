/**
 * Which configuration this is, in eight hexadecimal digits: to tell configurations apart, not to secure them.
 *
 * Of what the text says, not of its bytes. Istio hands a configuration through a protobuf Struct, which forgets the order of
 * members and writes spaces as it likes, so the text that a proxy gets is not the one that was written.
 * The same as in shim/render/fingerprint.ts.
 */
import { avalanche, FNV_OFFSET, FNV_PRIME, hash } from "./hash";
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";
import { decode } from "./section";

/** Of the whole of `json`, which has parsed. */
export function fingerprint(json: Json): Bytes {
  const value = digest(json, 0);
  const writer = new Writer(8);
  for (let shift = 28; shift >= 0; shift -= 4) {
    const digit = (value >> shift) & 15;
    writer.appendByte(digit < 10 ? 0x30 + digit : 0x57 + digit);
  }
  return writer;
}

/** Recursion is bounded by the depth of what `json` takes. */
function digest(json: Json, node: i32): u32 {
  const kind = json.kind(node);
  const seed = avalanche(FNV_OFFSET + <u32>kind);
  if (kind == Kind.String || kind == Kind.Number) return avalanche(hash(decode(json, node), seed));
  let value = seed;
  if (kind == Kind.Array) {
    for (let item = json.first(node); item >= 0; item = json.next(item, node)) {
      value = avalanche(value * FNV_PRIME + digest(json, item));
    }
  } else if (kind == Kind.Object) {
    // A sum, so that members may come in any order.
    for (let name = json.first(node); name >= 0; name = json.next(name, node)) {
      value += avalanche(hash(decode(json, name)) * FNV_PRIME + digest(json, name + 1));
    }
  }
  return avalanche(value);
}

/**
 * The foreign functions that Envoy registers (source/extensions/common/wasm/foreign.cc), those of them that
 * a filter of ours can use: verify_signature, clear_route_cache, set_envoy_filter_state.
 */
import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { Status } from "./abi.js";
import type { Context } from "./context.js";

/** What a foreign function answers; without `result` the guest gets address and size 0. */
export interface ForeignResult {
  readonly status: number;
  readonly result?: Uint8Array;
}

export type SignatureCheck = "verify" | "accept";

const HASHES: ReadonlySet<string> = new Set(["sha1", "sha224", "sha256", "sha384", "sha512"]);
const MAX_KEYS = 64;
const OK: ForeignResult = { status: Status.Ok };
const BAD_ARGUMENT: ForeignResult = { status: Status.BadArgument };
/** VerifySignatureResult { result = true }: the empty error is not written. */
const SIGNATURE_HOLDS: ForeignResult = { status: Status.Ok, result: Uint8Array.of(0x08, 0x01) };

/** Runs a foreign function, or answers undefined where Envoy has none of that name. */
export function callForeign(
  name: string,
  args: Buffer,
  context: Context,
  signatures: SignatureCheck,
): ForeignResult | undefined {
  switch (name) {
    case "verify_signature":
      return verifySignature(args, signatures);
    case "clear_route_cache":
      context.stream?.clearRouteCache();
      return OK;
    case "set_envoy_filter_state":
      return setFilterState(args, context);
    default:
      return undefined;
  }
}

/**
 * Arguments 1 hash_function, 2 public_key (SPKI, DER), 3 signature, 4 text, 5 public_key_pem; result 1 result,
 * 2 error (source/extensions/common/wasm/ext/verify_signature.proto). A signature that does not hold is status
 * 0 too: only the result says so.
 */
function verifySignature(args: Buffer, signatures: SignatureCheck): ForeignResult {
  const fields = parseFields(args);
  if (fields === undefined) return BAD_ARGUMENT;
  const der = fields.get(2) ?? Buffer.alloc(0);
  const pem = fields.get(5) ?? Buffer.alloc(0);
  if (der.length > 0 === pem.length > 0) return BAD_ARGUMENT;
  if (signatures === "accept") return SIGNATURE_HOLDS;
  const hash = (fields.get(1) ?? Buffer.alloc(0)).toString("latin1");
  if (!HASHES.has(hash.toLowerCase())) return signatureFails(`${hash} is not supported.`);
  const key = der.length > 0 ? publicKey(der, "spki") : publicKey(pem, "pem");
  if (key === undefined) return signatureFails("Failed to initialize digest verify.");
  const text = fields.get(4) ?? Buffer.alloc(0);
  const signature = fields.get(3) ?? Buffer.alloc(0);
  try {
    if (verify(hash.toLowerCase(), text, key, signature)) return SIGNATURE_HOLDS;
  } catch {
    return signatureFails("Failed to initialize digest verify.");
  }
  return signatureFails("Failed to verify digest. Error code: 0");
}

function signatureFails(message: string): ForeignResult {
  return { status: Status.Ok, result: Buffer.concat([Uint8Array.of(0x12, message.length), Buffer.from(message)]) };
}

/** Keys are parsed once: tests verify under the same few keys thousands of times. */
const keys = new Map<string, KeyObject | undefined>();

function publicKey(bytes: Buffer, form: "spki" | "pem"): KeyObject | undefined {
  const id = form + bytes.toString("latin1");
  if (keys.has(id)) return keys.get(id);
  if (keys.size >= MAX_KEYS) keys.clear();
  let key: KeyObject | undefined;
  try {
    key = createPublicKey(form === "pem" ? bytes : { key: bytes, format: "der", type: "spki" });
  } catch {
    key = undefined;
  }
  keys.set(id, key);
  return key;
}

/** Filter state that has a factory in Envoy (source/common/network, source/extensions/filters), most used first. */
const FILTER_STATE: ReadonlySet<string> = new Set([
  "envoy.network.upstream_server_name",
  "envoy.network.upstream_subject_alt_names",
  "envoy.network.application_protocols",
  "envoy.tcp_proxy.cluster",
  "envoy.upstream.dynamic_host",
  "envoy.upstream.dynamic_port",
]);

/** Arguments 1 path, 2 value, 3 span (set_envoy_filter_state.proto). */
function setFilterState(args: Buffer, context: Context): ForeignResult {
  const fields = parseFields(args);
  if (fields === undefined) return BAD_ARGUMENT;
  const path = (fields.get(1) ?? Buffer.alloc(0)).toString("latin1");
  if (context.stream === undefined || !FILTER_STATE.has(path)) return { status: Status.NotFound };
  context.stream.filterState.set(path, (fields.get(2) ?? Buffer.alloc(0)).toString("latin1"));
  return OK;
}

/** The length-delimited fields of a protobuf message, the last of a number; undefined where it is broken. */
function parseFields(message: Buffer): Map<number, Buffer> | undefined {
  const fields = new Map<number, Buffer>();
  let at = 0;
  const varint = (): number | undefined => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < message.length) {
    const tag = varint();
    if (tag === undefined || tag < 8) return undefined;
    const wire = tag & 7;
    if (wire === 0) {
      if (varint() === undefined) return undefined;
    } else if (wire === 1 || wire === 5) {
      at += wire === 1 ? 8 : 4;
    } else if (wire === 2) {
      const length = varint();
      if (length === undefined || at + length > message.length) return undefined;
      fields.set(Math.floor(tag / 8), Buffer.from(message.subarray(at, at + length)));
      at += length;
    } else {
      return undefined;
    }
    if (at > message.length) return undefined;
  }
  return fields;
}

/** The public keys of a JWK Set (RFC 7517) that signatures of one algorithm can be checked with. */
import { Algorithm, nameOf } from "./algorithm";
import { decodeBase64Url } from "./base64";
import { P256_BYTES, p256PublicKey, rsaPublicKey, trimZeros } from "./der";
import { Bytes, Writer } from "./host/bytes";
import { Json, Kind } from "./json";
import { MAX_KEY_ID } from "./jwt";

/** Keys of one set, counted before any is looked at. */
const MAX_KEYS: i32 = 128;
/** Values and names of a whole set. */
const MAX_NODES: i32 = 8192;
const MIN_RSA_BITS: i32 = 2048;
const MAX_RSA_BYTES: i32 = 1024;
const MAX_EXPONENT_BYTES: i32 = 4;

const KEYS = Bytes.of("keys");
const KID = Bytes.of("kid");
const KTY = Bytes.of("kty");
const USE = Bytes.of("use");
const KEY_OPS = Bytes.of("key_ops");
const ALG = Bytes.of("alg");
const N = Bytes.of("n");
const E = Bytes.of("e");
const CRV = Bytes.of("crv");
const X = Bytes.of("x");
const Y = Bytes.of("y");
const RSA = Bytes.of("RSA");
const EC = Bytes.of("EC");
const P_256 = Bytes.of("P-256");
const SIG = Bytes.of("sig");
const VERIFY = Bytes.of("verify");

export class Key {
  /** False once the key has left the set: tokens that were verified with it are forgotten. */
  isCurrent: bool = true;

  constructor(
    readonly id: Bytes,
    /** SubjectPublicKeyInfo in DER. */
    readonly publicKey: Bytes,
  ) {}
}

const json = new Json(512, MAX_NODES);
const first = new Writer(MAX_RSA_BYTES + 64);
const second = new Writer(MAX_RSA_BYTES + 64);
const kids: Bytes[] = [];

/**
 * The usable keys of a set, or null if `text` is none, or has keys of which none is usable. Keys of other kinds and for other
 * uses are passed over; so is a name that occurs twice, since it does not say which key is meant. Allocates.
 */
export function readKeys(text: Bytes, algorithm: Algorithm): Key[] | null {
  if (!json.parse(text) || json.kind(0) != Kind.Object) return null;
  const list = json.member(0, KEYS);
  if (list < 0 || json.kind(list) != Kind.Array) return null;
  if (!collectKids(list)) return null;
  const keys: Key[] = [];
  for (let node = json.first(list); node >= 0; node = json.next(node, list)) {
    const key = readKey(node, algorithm);
    if (key !== null) keys.push(key);
  }
  const isEmpty = json.first(list) < 0;
  kids.length = 0;
  return keys.length > 0 || isEmpty ? keys : null;
}

/** The names of all keys, of any kind. False: too many. */
function collectKids(list: i32): bool {
  kids.length = 0;
  let count = 0;
  for (let node = json.first(list); node >= 0; node = json.next(node, list)) {
    if (++count > MAX_KEYS) return false;
    const kid = json.member(node, KID);
    if (kid < 0 || json.kind(kid) != Kind.String) continue;
    const name = new Writer(json.textSize(kid));
    json.textInto(kid, name);
    kids.push(name);
  }
  return true;
}

function readKey(node: i32, algorithm: Algorithm): Key | null {
  const kid = json.member(node, KID);
  if (kid < 0 || json.kind(kid) != Kind.String) return null;
  const id = new Writer(json.textSize(kid));
  json.textInto(kid, id);
  if (id.length == 0 || id.length > MAX_KEY_ID || !isUnique(id) || !isForSignatures(node, algorithm)) return null;
  const publicKey = algorithm == Algorithm.RS256 ? readRsa(node) : readP256(node);
  return publicKey === null ? null : new Key(id, publicKey);
}

function isUnique(id: Bytes): bool {
  let count = 0;
  for (let i = 0; i < kids.length; i++) {
    if (kids[i].equals(id)) count += 1;
  }
  return count == 1;
}

/** `use`, `key_ops` and `alg` may be missing; what they say must fit (RFC 7517, sections 4.2 to 4.4). */
function isForSignatures(node: i32, algorithm: Algorithm): bool {
  if (json.member(node, USE) >= 0 && !isText(node, USE, SIG)) return false;
  if (json.member(node, ALG) >= 0 && !isText(node, ALG, nameOf(algorithm))) return false;
  const operations = json.member(node, KEY_OPS);
  if (operations < 0) return true;
  if (json.kind(operations) != Kind.Array) return false;
  for (let item = json.first(operations); item >= 0; item = json.next(item, operations)) {
    if (json.kind(item) == Kind.String && json.textEquals(item, VERIFY)) return true;
  }
  return false;
}

function readRsa(node: i32): Bytes | null {
  if (!isText(node, KTY, RSA) || !readNumber(node, N, first) || !readNumber(node, E, second)) return null;
  const modulus = Bytes.empty();
  modulus.point(first, 0, first.length);
  trimZeros(modulus);
  const exponent = Bytes.empty();
  exponent.point(second, 0, second.length);
  trimZeros(exponent);
  if (modulus.length > MAX_RSA_BYTES || bitsOf(modulus) < MIN_RSA_BITS) return null;
  // An exponent of 1 would let every signature hold; an even one is none.
  const last = exponent.at(exponent.length - 1);
  if (exponent.length > MAX_EXPONENT_BYTES || (last & 1) == 0 || (exponent.length == 1 && last < 3)) return null;
  return rsaPublicKey(modulus, exponent);
}

function readP256(node: i32): Bytes | null {
  if (!isText(node, KTY, EC) || !isText(node, CRV, P_256)) return null;
  if (!readNumber(node, X, first) || !readNumber(node, Y, second)) return null;
  return first.length == P256_BYTES && second.length == P256_BYTES ? p256PublicKey(first, second) : null;
}

function isText(node: i32, name: Bytes, text: Bytes): bool {
  const value = json.member(node, name);
  return value >= 0 && json.kind(value) == Kind.String && json.textEquals(value, text);
}

const encoded = new Writer(2 * MAX_RSA_BYTES);

/** A big-endian number in base64url (RFC 7518, section 2: Base64urlUInt). */
function readNumber(node: i32, name: Bytes, into: Writer): bool {
  const value = json.member(node, name);
  if (value < 0 || json.kind(value) != Kind.String) return false;
  json.textInto(value, encoded.reset());
  return !encoded.overflowed && encoded.length > 0 && decodeBase64Url(encoded, into.reset());
}

/** Of a number without leading zeros. */
function bitsOf(number: Bytes): i32 {
  return number.length * 8 - (clz(number.at(0)) - 24);
}

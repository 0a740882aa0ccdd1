/**
 * The few DER structures (ITU-T X.690) that a proxy's crypto library wants where JOSE has bare numbers: public keys as
 * SubjectPublicKeyInfo (RFC 5280, section 4.1) and ECDSA signatures (RFC 3279, section 2.2.3).
 */
import { Bytes, Writer } from "./host/bytes";

const enum Tag {
  Integer = 0x02,
  BitString = 0x03,
  Sequence = 0x30,
}

/** The algorithm identifier of rsaEncryption (1.2.840.113549.1.1.1) with its NULL. */
const RSA_ALGORITHM = bytesOf([
  0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
]);
/** All of a P-256 public key up to its coordinates: id-ecPublicKey, prime256v1, a bit string with an uncompressed point. */
const P256_PREFIX = bytesOf([
  0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
  0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
]);

/** Bytes of a coordinate of P-256, and of each half of its signatures. */
export const P256_BYTES: i32 = 32;

/** An RSA public key of this modulus and exponent, both big-endian and positive without leading zeros. Allocates. */
export function rsaPublicKey(modulus: Bytes, exponent: Bytes): Bytes {
  const numbers = integerSize(modulus) + integerSize(exponent);
  const key = withHead(numbers);
  const bits = key + 1;
  const writer = new Writer(withHead(RSA_ALGORITHM.length + withHead(bits)));
  head(writer, Tag.Sequence, RSA_ALGORITHM.length + withHead(bits));
  writer.append(RSA_ALGORITHM);
  head(writer, Tag.BitString, bits);
  writer.appendByte(0);
  head(writer, Tag.Sequence, numbers);
  integer(writer, modulus);
  integer(writer, exponent);
  return writer;
}

/** The P-256 public key with these coordinates, 32 bytes each. Allocates. */
export function p256PublicKey(x: Bytes, y: Bytes): Bytes {
  return new Writer(P256_PREFIX.length + 2 * P256_BYTES).append(P256_PREFIX).append(x).append(y);
}

/** The two halves of a JWS signature by ES256, r and s (RFC 7518, section 3.4), as DER. False if they are not 64 bytes. */
export function ecdsaSignature(raw: Bytes, into: Writer): bool {
  if (raw.length != 2 * P256_BYTES) return false;
  r.point(raw, 0, P256_BYTES);
  s.point(raw, P256_BYTES, P256_BYTES);
  trimZeros(r);
  trimZeros(s);
  head(into, Tag.Sequence, integerSize(r) + integerSize(s));
  integer(into, r);
  integer(into, s);
  return !into.overflowed;
}

const r = Bytes.empty();
const s = Bytes.empty();

/** Without the zero bytes in front; of nothing but zeros one is left. */
export function trimZeros(number: Bytes): void {
  let zeros = 0;
  while (zeros < number.length - 1 && number.at(zeros) == 0) zeros++;
  number.point(number, zeros, number.length - zeros);
}

function integer(writer: Writer, number: Bytes): void {
  const signed = needsSign(number);
  head(writer, Tag.Integer, number.length + signed);
  if (signed) writer.appendByte(0);
  writer.append(number);
}

/** Bytes of the whole integer, its head included. */
function integerSize(number: Bytes): i32 {
  return withHead(number.length + needsSign(number));
}

/** A first bit that is set would make the number negative. */
function needsSign(number: Bytes): i32 {
  return number.at(0) >= 0x80 ? 1 : 0;
}

function head(writer: Writer, tag: Tag, size: i32): void {
  writer.appendByte(tag);
  if (size < 0x80) {
    writer.appendByte(size);
  } else if (size < 0x100) {
    writer.appendByte(0x81).appendByte(size);
  } else {
    writer
      .appendByte(0x82)
      .appendByte(size >> 8)
      .appendByte(size & 0xff);
  }
}

function withHead(size: i32): i32 {
  return size + (size < 0x80 ? 2 : size < 0x100 ? 3 : 4);
}

function bytesOf(values: i32[]): Bytes {
  const writer = new Writer(values.length);
  for (let i = 0; i < values.length; i++) writer.appendByte(values[i]);
  return writer;
}

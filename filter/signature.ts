/**
 * Whether a signature holds. The proxy checks it, with its own crypto library: Envoy's foreign function `verify_signature`
 * (source/extensions/common/wasm/ext/verify_signature.proto). Nothing here computes anything.
 */
import { Algorithm } from "./algorithm";
import { ecdsaSignature } from "./der";
import { Bytes, Writer } from "./host/bytes";
import { callForeignFunction } from "./host/foreign";
import { Inbox } from "./host/inbox";
import { Status } from "./host/status";
import { decodeBase64Url } from "./base64";
import { knownAnswerOf } from "./known-answer";

const VERIFY_SIGNATURE = Bytes.of("verify_signature");
const SHA256 = Bytes.of("sha256");

/** The field numbers of the request. */
const enum Field {
  HashFunction = 1,
  PublicKey = 2,
  Signature = 3,
  Text = 4,
}

/** A token of 8 KiB, the largest key and signature, and the heads of four fields. */
const question = new Writer(12_288);
const answer = new Inbox(64, 1024);
const der = new Writer(80);

/** `publicKey`: SubjectPublicKeyInfo in DER. `signature`: as JWS has it. False as well where the proxy cannot say. */
export function isSigned(algorithm: Algorithm, publicKey: Bytes, signature: Bytes, text: Bytes): bool {
  let checked = signature;
  if (algorithm == Algorithm.ES256) {
    if (!ecdsaSignature(signature, der.reset())) return false;
    checked = der;
  }
  question.reset();
  append(Field.HashFunction, SHA256);
  append(Field.PublicKey, publicKey);
  append(Field.Signature, checked);
  append(Field.Text, text);
  if (question.overflowed) return false;
  if (callForeignFunction(VERIFY_SIGNATURE, question, answer) != Status.Ok) return false;
  // A forged signature is answered with status 0 too, and a message in place of this one field: `result` = true.
  return answer.length == 2 && answer.at(0) == 0x08 && answer.at(1) == 0x01;
}

/** Whether the proxy's check can be relied on: it must take a good signature, and refuse the same one with one bit changed. */
export function knowsTheAnswer(algorithm: Algorithm): bool {
  const known = knownAnswerOf(algorithm);
  const key = decoded(known.publicKey);
  const good = decoded(known.signature);
  const forged = new Writer(good.length).append(good);
  forged.length -= 1;
  forged.appendByte(good.at(good.length - 1) ^ 1);
  return isSigned(algorithm, key, good, known.text) && !isSigned(algorithm, key, forged, known.text);
}

function decoded(text: Bytes): Bytes {
  const writer = new Writer(text.length);
  decodeBase64Url(text, writer);
  return writer;
}

/** A length-delimited field of a protobuf message. */
function append(field: Field, value: Bytes): void {
  question.appendByte((field << 3) | 2);
  let size = value.length;
  while (size >= 0x80) {
    question.appendByte((size & 0x7f) | 0x80);
    size >>= 7;
  }
  question.appendByte(size).append(value);
}

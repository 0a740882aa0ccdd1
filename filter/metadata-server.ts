/**
 * The metadata server of Google Cloud, which hands out tokens of the proxy's own service account.
 * https://cloud.google.com/compute/docs/instances/verifying-instance-identity (ID tokens)
 * https://cloud.google.com/compute/docs/access/authenticate-workloads (access tokens)
 */
import { answerHas, answerStatus, expectAnswer, readAnswer } from "./answer";
import { Ascii, isDigit, isLetter } from "./ascii";
import { Bytes, Writer } from "./host/bytes";
import { httpCall, HttpCallback } from "./host/http-call";
import { Inbox } from "./host/inbox";
import { PairsWriter } from "./host/pairs";
import { Status } from "./host/status";
import { MAX_TOKEN } from "./id-token";
import { Identity } from "./identity";
import { AUTHORITY, METADATA_FLAVOR, METHOD, PATH } from "./names";

const GET = Bytes.of("GET");
const GOOGLE = Bytes.of("Google");
const HOST = Bytes.of("metadata.google.internal");
const ACCOUNT_PATH = Bytes.of("/computeMetadata/v1/instance/service-accounts/default/");
/** `format=full` puts the account's email into the token; without it no receiver could tell callers apart. */
const IDENTITY = Bytes.of("identity?format=full&audience=");
const TOKEN = Bytes.of("token");
const HEX = Bytes.of("0123456789ABCDEF");

/** How a call ended; also the label of the metric. */
export const FETCHED = Bytes.of("ok");
const NO_CLUSTER = Bytes.of("cluster_missing");
const NO_ENDPOINT = Bytes.of("no_endpoint");
const RESET = Bytes.of("reset");
export const AUDIENCE_REFUSED = Bytes.of("audience_refused");
const BAD_STATUS = Bytes.of("bad_status");
const NOT_METADATA = Bytes.of("not_a_metadata_server");
export const BAD_TOKEN = Bytes.of("bad_token");

/** An audience has at most 1024 bytes, three times that when encoded. */
const path = new Writer(4096);
const headers = new PairsWriter(8, 8192);
const noBody = Bytes.empty();
/** A token, and a line end behind it. */
const MAX_BODY: i32 = MAX_TOKEN + 2;
const body = new Inbox(4096, MAX_BODY);

/** Starts the fetch of an ID token. Null: it is under way. Else why it is not, and there will be no callback. */
export function requestIdToken(identity: Identity, audience: Bytes, callback: HttpCallback): Bytes | null {
  path.reset().append(ACCOUNT_PATH).append(IDENTITY);
  appendQueryValue(path, audience);
  return ask(identity, callback);
}

/** Starts the fetch of an access token, as `requestIdToken` does. */
export function requestAccessToken(identity: Identity, callback: HttpCallback): Bytes | null {
  path.reset().append(ACCOUNT_PATH).append(TOKEN);
  return ask(identity, callback);
}

/** Asks for what `path` says. */
function ask(identity: Identity, callback: HttpCallback): Bytes | null {
  expectAnswer();
  headers.reset().add(METHOD, GET).add(PATH, path).add(AUTHORITY, HOST).add(METADATA_FLAVOR, GOOGLE);
  const status = httpCall(identity.root, identity.cluster, headers, noBody, identity.timeoutMs, callback);
  if (status == Status.Ok) return null;
  return status == Status.BadArgument ? NO_CLUSTER : NO_ENDPOINT;
}

/**
 * Reads the answer of the call that is being delivered. On FETCHED `content` looks at what the server sent, which
 * is still to be checked; anything else says why there is nothing.
 */
export function receiveFromMetadata(headerCount: i32, bodySize: i32, content: Bytes): Bytes {
  const status = answerStatus(headerCount);
  if (status == 0) return RESET;
  if (status == 404) return AUDIENCE_REFUSED;
  if (status != 200) return BAD_STATUS;
  if (!answerHas(METADATA_FLAVOR, GOOGLE)) return NOT_METADATA;
  if (!readAnswer(bodySize, MAX_BODY, body)) return BAD_TOKEN;
  let size = body.length;
  while (size > 0 && body.at(size - 1) <= 0x20) size--;
  content.point(body, 0, size);
  return FETCHED;
}

/** Percent-encodes everything but RFC 3986's unreserved characters. */
function appendQueryValue(writer: Writer, value: Bytes): void {
  for (let i = 0; i < value.length; i++) {
    const byte = value.at(i);
    if (isUnreserved(byte)) writer.appendByte(byte);
    else
      writer
        .appendByte(Ascii.Percent)
        .appendByte(HEX.at(byte >> 4))
        .appendByte(HEX.at(byte & 15));
  }
}

function isUnreserved(byte: i32): bool {
  if (isLetter(byte) || isDigit(byte)) return true;
  return byte == Ascii.Hyphen || byte == Ascii.Dot || byte == Ascii.Underscore || byte == Ascii.Tilde;
}

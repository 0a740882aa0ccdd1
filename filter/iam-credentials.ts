/**
 * ID tokens of another service account, from the IAM Credentials API.
 * https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateIdToken
 */
import { answerStatus, expectAnswer, readAnswer } from "./answer";
import { Ascii } from "./ascii";
import { Bytes, Writer } from "./host/bytes";
import { httpCall, HttpCallback } from "./host/http-call";
import { Inbox } from "./host/inbox";
import { PairsWriter } from "./host/pairs";
import { Status } from "./host/status";
import { MAX_TOKEN } from "./id-token";
import { Identity } from "./identity";
import { Json, Kind } from "./json";
import { BAD_TOKEN, FETCHED } from "./metadata-server";
import { AUTHORITY, AUTHORIZATION, CONTENT_TYPE, METHOD, PATH } from "./names";

const POST = Bytes.of("POST");
const JSON_TYPE = Bytes.of("application/json");
const ACCOUNTS_PATH = Bytes.of("/v1/projects/-/serviceAccounts/");
const GENERATE = Bytes.of(":generateIdToken");
const AUDIENCE = Bytes.of('{"audience":"');
/** Without the email no receiver could tell callers apart. */
const INCLUDE_EMAIL = Bytes.of('","includeEmail":true}');
const ESCAPED = Bytes.of("\\u00");
const HEX = Bytes.of("0123456789abcdef");
const TOKEN = Bytes.of("token");

/** How a fetch ended, beside what the metadata server's calls can end with; also the label of the metric. */
export const NO_ACCESS_TOKEN = Bytes.of("access_token_refused");
export const BAD_ACCESS_TOKEN = Bytes.of("bad_access_token");
const NO_CLUSTER = Bytes.of("iam_cluster_missing");
const NO_ENDPOINT = Bytes.of("iam_no_endpoint");
const RESET = Bytes.of("iam_reset");
const BAD_STATUS = Bytes.of("iam_bad_status");
/** 401: the access token is not taken. */
export const UNAUTHENTICATED = Bytes.of("iam_unauthenticated");
/** 403: the proxy's account may not create tokens of the other one, or the API is off. */
const PERMISSION_DENIED = Bytes.of("iam_permission_denied");
/** 404. */
export const ACCOUNT_UNKNOWN = Bytes.of("iam_account_unknown");

const path = new Writer(512);
const headers = new PairsWriter(8, 8192);
/** An audience has at most 1024 bytes, six times that where all are escaped. */
const question = new Writer(6400);
/** `{"token":"..."}`, with room for white space. */
const MAX_BODY: i32 = MAX_TOKEN + 256;
const body = new Inbox(4096, MAX_BODY);
const answer = new Json(16);
const text = new Writer(MAX_TOKEN);

/** Starts the fetch. Null: it is under way. Else why it is not, and there will be no callback. */
export function requestImpersonated(
  identity: Identity,
  audience: Bytes,
  timeoutMs: i32,
  callback: HttpCallback,
): Bytes | null {
  expectAnswer();
  path.reset().append(ACCOUNTS_PATH).append(identity.serviceAccount).append(GENERATE);
  appendText(question.reset().append(AUDIENCE), audience);
  question.append(INCLUDE_EMAIL);
  headers.reset().add(METHOD, POST).add(PATH, path).add(AUTHORITY, identity.credentialsAuthority);
  headers.add(CONTENT_TYPE, JSON_TYPE).add(AUTHORIZATION, identity.accessToken.header);
  const status = httpCall(identity.root, identity.credentialsCluster, headers, question, timeoutMs, callback);
  if (status == Status.Ok) return null;
  return status == Status.BadArgument ? NO_CLUSTER : NO_ENDPOINT;
}

/** Reads the answer of the call that is being delivered, as `receiveFromMetadata` does: on FETCHED `token` looks at the token. */
export function receiveImpersonated(headerCount: i32, bodySize: i32, token: Bytes): Bytes {
  switch (answerStatus(headerCount)) {
    case 200:
      break;
    case 0:
      return RESET;
    case 401:
      return UNAUTHENTICATED;
    case 403:
      return PERMISSION_DENIED;
    case 404:
      return ACCOUNT_UNKNOWN;
    default:
      return BAD_STATUS;
  }
  if (!readAnswer(bodySize, MAX_BODY, body) || !answer.parse(body)) return BAD_TOKEN;
  const member = answer.member(0, TOKEN);
  if (member < 0 || answer.kind(member) != Kind.String) return BAD_TOKEN;
  answer.textInto(member, text.reset());
  if (text.overflowed) return BAD_TOKEN;
  token.point(text, 0, text.length);
  return FETCHED;
}

/** As the inside of a JSON string (RFC 8259, section 7). */
function appendText(writer: Writer, value: Bytes): void {
  for (let i = 0; i < value.length; i++) {
    const byte = value.at(i);
    if (byte < 0x20 || byte == Ascii.Quote || byte == Ascii.Backslash)
      writer
        .append(ESCAPED)
        .appendByte(HEX.at(byte >> 4))
        .appendByte(HEX.at(byte & 15));
    else writer.appendByte(byte);
  }
}

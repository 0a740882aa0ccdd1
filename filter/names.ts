/** The header names of the filter, in lower case as Envoy hands them out. */
import { Bytes } from "./host/bytes";

export const AUTHORITY = Bytes.of(":authority");
export const METHOD = Bytes.of(":method");
export const PATH = Bytes.of(":path");
export const STATUS = Bytes.of(":status");
export const AUTHORIZATION = Bytes.of("authorization");
export const SERVERLESS_AUTHORIZATION = Bytes.of("x-serverless-authorization");
export const FORWARDED_HOST = Bytes.of("x-forwarded-host");
export const REQUEST_ID = Bytes.of("x-request-id");
export const UPGRADE = Bytes.of("upgrade");
export const SERVER_TIMING = Bytes.of("server-timing");
export const CONTENT_TYPE = Bytes.of("content-type");
export const RETRY_AFTER = Bytes.of("retry-after");
export const WWW_AUTHENTICATE = Bytes.of("www-authenticate");
export const METADATA_FLAVOR = Bytes.of("metadata-flavor");

/** What all of our own headers begin with. */
export const OWN_PREFIX = Bytes.of("x-hopgate-");
export const OWN_BACKEND = Bytes.of("x-hopgate-backend");
export const OWN_CALLER = Bytes.of("x-hopgate-caller");
export const OWN_ERROR = Bytes.of("x-hopgate-error");
export const OWN_PATH = Bytes.of("x-hopgate-path");
export const OWN_TIMING = Bytes.of("x-hopgate-timing");
export const OWN_TRACE = Bytes.of("x-hopgate-trace");

/**
 * Every answer that the filter gives itself. The codes are a contract: dashboards, alerts and the documentation go by them.
 */
import { Bytes } from "./host/bytes";

/** gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const enum Grpc {
  InvalidArgument = 3,
  NotFound = 5,
  PermissionDenied = 7,
  Unimplemented = 12,
  Unavailable = 14,
  Unauthenticated = 16,
}

export class ReplyError {
  constructor(
    readonly code: Bytes,
    /** HTTP status, and its name. */
    readonly status: i32,
    readonly grpcStatus: i32,
    readonly title: Bytes,
    readonly detail: Bytes,
  ) {}
}

const BAD_REQUEST = Bytes.of("Bad Request");
const UNAUTHORIZED = Bytes.of("Unauthorized");
const FORBIDDEN = Bytes.of("Forbidden");
const NOT_FOUND = Bytes.of("Not Found");
const SERVICE_UNAVAILABLE = Bytes.of("Service Unavailable");

export const HOST_INVALID = new ReplyError(
  Bytes.of("host_invalid"),
  400,
  Grpc.InvalidArgument,
  BAD_REQUEST,
  Bytes.of("The host of the request is not a valid host name."),
);

export const UPGRADE_UNSUPPORTED = new ReplyError(
  Bytes.of("upgrade_unsupported"),
  400,
  Grpc.Unimplemented,
  BAD_REQUEST,
  Bytes.of("This route adds an identity to requests; the only upgrade that it takes is WebSocket."),
);

export const ROUTE_UNMATCHED = new ReplyError(
  Bytes.of("route_unmatched"),
  404,
  Grpc.NotFound,
  NOT_FOUND,
  Bytes.of("No route matches the host of the request."),
);

export const TOKEN_UNAVAILABLE = new ReplyError(
  Bytes.of("token_unavailable"),
  503,
  Grpc.Unavailable,
  SERVICE_UNAVAILABLE,
  Bytes.of("The identity token that this request needs could not be obtained."),
);

export const TOKEN_MISSING = new ReplyError(
  Bytes.of("token_missing"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("This request needs an identity token, and came without one."),
);

export const TOKEN_MALFORMED = new ReplyError(
  Bytes.of("token_malformed"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is not one signed JWT of a size and form that is accepted here."),
);

export const TOKEN_ALGORITHM = new ReplyError(
  Bytes.of("token_algorithm"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is signed with an algorithm that is not accepted here."),
);

export const TOKEN_SIGNATURE_REMOVED = new ReplyError(
  Bytes.of("token_signature_removed"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The signature of the identity token was removed by Cloud Run, which had checked it already."),
);

export const TOKEN_KEY_UNKNOWN = new ReplyError(
  Bytes.of("token_key_unknown"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is signed with a key that is not in the issuer's key set."),
);

export const TOKEN_SIGNATURE_INVALID = new ReplyError(
  Bytes.of("token_signature_invalid"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The signature of the identity token does not hold."),
);

export const TOKEN_EXPIRED = new ReplyError(
  Bytes.of("token_expired"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token has expired."),
);

export const TOKEN_NOT_YET_VALID = new ReplyError(
  Bytes.of("token_not_yet_valid"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is not valid yet."),
);

export const TOKEN_ISSUER = new ReplyError(
  Bytes.of("token_issuer"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is from an issuer that is not accepted here."),
);

export const TOKEN_AUDIENCE = new ReplyError(
  Bytes.of("token_audience"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The identity token is meant for another audience."),
);

export const TOKEN_CLAIMS = new ReplyError(
  Bytes.of("token_claims"),
  401,
  Grpc.Unauthenticated,
  UNAUTHORIZED,
  Bytes.of("The claims of the identity token are not well formed, or it lives longer than is accepted here."),
);

export const CALLER_NOT_ALLOWED = new ReplyError(
  Bytes.of("caller_not_allowed"),
  403,
  Grpc.PermissionDenied,
  FORBIDDEN,
  Bytes.of("The caller is not among those that are allowed here."),
);

export const KEYS_UNAVAILABLE = new ReplyError(
  Bytes.of("keys_unavailable"),
  503,
  Grpc.Unavailable,
  SERVICE_UNAVAILABLE,
  Bytes.of("The keys that identity tokens are checked with could not be obtained."),
);

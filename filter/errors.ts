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
  readonly code: Bytes;
  readonly title: Bytes;
  readonly detail: Bytes;

  constructor(
    code: string,
    /** HTTP status. */
    readonly status: i32,
    readonly grpcStatus: i32,
    title: string,
    detail: string,
  ) {
    this.code = Bytes.of(code);
    this.title = Bytes.of(title);
    this.detail = Bytes.of(detail);
  }
}

export const HOST_INVALID = new ReplyError(
  "host_invalid",
  400,
  Grpc.InvalidArgument,
  "Bad Request",
  "The host of the request is not a valid host name.",
);

export const UPGRADE_UNSUPPORTED = new ReplyError(
  "upgrade_unsupported",
  400,
  Grpc.Unimplemented,
  "Bad Request",
  "This route adds an identity to requests; the only upgrade that it takes is WebSocket.",
);

export const ROUTE_UNMATCHED = new ReplyError(
  "route_unmatched",
  404,
  Grpc.NotFound,
  "Not Found",
  "No route matches the host of the request.",
);

export const TOKEN_UNAVAILABLE = new ReplyError(
  "token_unavailable",
  503,
  Grpc.Unavailable,
  "Service Unavailable",
  "The identity token that this request needs could not be obtained.",
);

export const TOKEN_MISSING = new ReplyError(
  "token_missing",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "This request needs an identity token, and came without one.",
);

export const TOKEN_MALFORMED = new ReplyError(
  "token_malformed",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is not one signed JWT of a size and form that is accepted here.",
);

export const TOKEN_ALGORITHM = new ReplyError(
  "token_algorithm",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is signed with an algorithm that is not accepted here.",
);

export const TOKEN_SIGNATURE_REMOVED = new ReplyError(
  "token_signature_removed",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The signature of the identity token was removed by Cloud Run, which had checked it already.",
);

export const TOKEN_KEY_UNKNOWN = new ReplyError(
  "token_key_unknown",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is signed with a key that is not in the issuer's key set.",
);

export const TOKEN_SIGNATURE_INVALID = new ReplyError(
  "token_signature_invalid",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The signature of the identity token does not hold.",
);

export const TOKEN_EXPIRED = new ReplyError(
  "token_expired",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token has expired.",
);

export const TOKEN_NOT_YET_VALID = new ReplyError(
  "token_not_yet_valid",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is not valid yet.",
);

export const TOKEN_ISSUER = new ReplyError(
  "token_issuer",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is from an issuer that is not accepted here.",
);

export const TOKEN_AUDIENCE = new ReplyError(
  "token_audience",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The identity token is meant for another audience.",
);

export const TOKEN_CLAIMS = new ReplyError(
  "token_claims",
  401,
  Grpc.Unauthenticated,
  "Unauthorized",
  "The claims of the identity token are not well formed, or it lives longer than is accepted here.",
);

export const CALLER_NOT_ALLOWED = new ReplyError(
  "caller_not_allowed",
  403,
  Grpc.PermissionDenied,
  "Forbidden",
  "The caller is not among those that are allowed here.",
);

export const KEYS_UNAVAILABLE = new ReplyError(
  "keys_unavailable",
  503,
  Grpc.Unavailable,
  "Service Unavailable",
  "The keys that identity tokens are checked with could not be obtained.",
);

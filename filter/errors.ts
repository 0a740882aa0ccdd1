/**
 * Every answer that the filter gives itself. The codes are a contract: dashboards, alerts and the documentation go by them.
 */
import { Bytes } from "./host/bytes";

/** gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const enum Grpc {
  InvalidArgument = 3,
  NotFound = 5,
  Unimplemented = 12,
  Unavailable = 14,
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

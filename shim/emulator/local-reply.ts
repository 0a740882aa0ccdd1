/** How Envoy makes a response of a local reply (source/common/http/utility.cc: prepareLocalReply). */
import type { LocalReply } from "./context.js";
import { HeaderMap } from "./header-map.js";

export interface PreparedReply {
  readonly headers: HeaderMap;
  readonly body: Buffer;
}

/** gRPC status for an HTTP status (source/common/grpc/status.cc); everything else is Unknown. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const GRPC_UNKNOWN = 2;

/**
 * The response to a request: text/plain unless the guest gave a type, no body for HEAD, and for gRPC the
 * body as grpc-message of a response that is trailers only.
 */
export function prepareLocalReply(reply: LocalReply, request: HeaderMap): PreparedReply {
  const headers = new HeaderMap("response", [[":status", String(reply.status)], ...reply.headers]);
  const isHead = request.get(":method") === "HEAD";
  if (isGrpc(request)) {
    headers.put(":status", "200");
    headers.put("content-type", "application/grpc");
    if (headers.get("grpc-status") === undefined) {
      headers.put("grpc-status", String(reply.grpcStatus ?? GRPC_STATUS[reply.status] ?? GRPC_UNKNOWN));
    }
    if (reply.body.length > 0 && !isHead) headers.put("grpc-message", percentEncode(reply.body));
    headers.remove("content-length");
    return { headers, body: Buffer.alloc(0) };
  }
  if (reply.body.length > 0) {
    headers.put("content-length", String(reply.body.length));
    if (headers.get("content-type") === undefined) headers.put("content-type", "text/plain");
  } else {
    headers.remove("content-length");
    headers.remove("content-type");
  }
  return { headers, body: isHead ? Buffer.alloc(0) : reply.body };
}

function isGrpc(request: HeaderMap): boolean {
  const type = request.get("content-type");
  return type === "application/grpc" || type?.startsWith("application/grpc+") === true;
}

/** Everything but printable ASCII and the percent sign itself stays (source/common/http/utility.cc). */
function percentEncode(bytes: Buffer): string {
  let text = "";
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x25;
    text += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

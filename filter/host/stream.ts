/** What can be done to a stream. Each acts on the effective context: see `setEffectiveContext`. */
import { proxyContinueStream, proxySendLocalResponse, proxySetEffectiveContext } from "./abi";
import { Bytes } from "./bytes";
import { PairsWriter } from "./pairs";
import { Status } from "./status";

const REQUEST: i32 = 0;

/** Makes the calls that follow in this callback act on `context`. BadArgument if it is gone. */
export function setEffectiveContext(context: u32): Status {
  return proxySetEffectiveContext(context);
}

/** Lets a paused request go on. The host does so after the running callback. */
export function continueRequest(): Status {
  return proxyContinueStream(REQUEST);
}

/**
 * Answers the request here. `details` appear in the access log (RESPONSE_CODE_DETAILS); for a gRPC request the host sends
 * `grpcStatus` instead of the body. The answer passes through `onResponseHeaders`.
 */
export function sendLocalReply(
  status: i32,
  details: Bytes,
  body: Bytes,
  headers: PairsWriter,
  grpcStatus: i32,
): Status {
  const list = headers.layOut();
  return proxySendLocalResponse(
    status,
    details.pointer,
    details.length,
    body.pointer,
    body.length,
    list,
    headers.byteLength,
    grpcStatus,
  );
}

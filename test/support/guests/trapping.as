// The filter itself, and a way to make it trap: a request, or the answer to one of its own calls, with the header
// x-trap. What a trap does to a proxy can be seen in no other way, since the filter has none.
import { onHttpCallResponse, onRequestHeaders } from "../../../filter/host/dispatcher";
import { Bytes } from "../../../filter/host/bytes";
import { Action } from "../../../filter/host/context";
import { getHeader, HeaderMap } from "../../../filter/host/headers";
import { Inbox } from "../../../filter/host/inbox";
import { Status } from "../../../filter/host/status";

export {
  proxy_abi_version_0_2_1,
  proxy_on_memory_allocate,
  proxy_on_context_create,
  proxy_on_configure,
  proxy_on_tick,
  proxy_on_response_headers,
  proxy_on_delete,
} from "../../../filter/index";

const TRAP = Bytes.of("x-trap");
const value = new Inbox(16, 64);

export function proxy_on_request_headers(id: u32, headers: i32, endOfStream: i32): Action {
  if (getHeader(HeaderMap.Request, TRAP, value) == Status.Ok) unreachable();
  return onRequestHeaders(id, headers, endOfStream);
}

export function proxy_on_http_call_response(root: u32, token: u32, headers: i32, body: i32, trailers: i32): void {
  if (getHeader(HeaderMap.HttpCallResponse, TRAP, value) == Status.Ok) unreachable();
  onHttpCallResponse(root, token, headers, body, trailers);
}

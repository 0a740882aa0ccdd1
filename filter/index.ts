/** The exports of the module, as proxy-wasm 0.2.1 names them: only what the filter needs, since each costs a call per event. */
import {
  onConfigure,
  onContextCreate,
  onDelete,
  onHttpCallResponse,
  onRequestHeaders,
  onResponseHeaders,
  onTick,
  registerRoot,
} from "./host/dispatcher";
import "./host/abort";
import { allocate } from "./host/inbox";
import { Hop } from "./hop";

registerRoot(() => new Hop());

export function proxy_abi_version_0_2_1(): void {}
export { allocate as proxy_on_memory_allocate };
export { onContextCreate as proxy_on_context_create };
export { onConfigure as proxy_on_configure };
export { onTick as proxy_on_tick };
export { onRequestHeaders as proxy_on_request_headers };
export { onResponseHeaders as proxy_on_response_headers };
export { onHttpCallResponse as proxy_on_http_call_response };
export { onDelete as proxy_on_delete };

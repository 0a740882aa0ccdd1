/** HTTP calls to clusters of the proxy. */
import { proxyHttpCall } from "./abi";
import { Bytes } from "./bytes";
import { RootContext } from "./context";
import { PairsWriter } from "./pairs";
import { Status } from "./status";

/** Who waits for the answer of a call. */
export abstract class HttpCallback {
  /**
   * The answer came, or did not: `headers` 0 is a reset or a body over the host's limit; a refused connection comes as a 503 of the
   * proxy's own, a time-out as its 504. Headers and body can be read in here alone. Runs in the context of the root;
   * set the effective context before touching a stream.
   */
  abstract onHttpCallResponse(headers: i32, bodySize: i32): void;
}

class PendingCall {
  constructor(
    readonly root: RootContext,
    readonly token: u32,
    readonly callback: HttpCallback,
  ) {}
}

/** Calls in flight of one VM; a root has few. */
export const MAX_CALLS: i32 = 256;
const pending = new StaticArray<PendingCall | null>(MAX_CALLS);

const tokenOut: usize = memory.data(4, 4);
const noTrailers = Bytes.empty();

/**
 * Starts a call on behalf of `root`, which must be the running context: the host cancels the calls of a context that goes.
 * An empty `body` is none; to another the host adds its `content-length`.
 *
 * BadArgument: no such cluster, or `:method`, `:path` or `:authority` is missing. InternalFailure: no healthy endpoint, or
 * more than MAX_CALLS in flight. Neither calls back. `timeoutMs` must be positive: to the host 0 is no time-out.
 */
export function httpCall(
  root: RootContext,
  cluster: Bytes,
  headers: PairsWriter,
  body: Bytes,
  timeoutMs: i32,
  callback: HttpCallback,
): Status {
  if (timeoutMs <= 0) return Status.BadArgument;
  const slot = freeSlot();
  if (slot < 0) return Status.InternalFailure;
  const list = headers.layOut();
  if (headers.overflowed) return Status.BadArgument;
  const status = <Status>(
    proxyHttpCall(
      cluster.pointer,
      cluster.length,
      list,
      headers.byteLength,
      body.pointer,
      body.length,
      noTrailers.pointer,
      0,
      timeoutMs,
      tokenOut,
    )
  );
  if (status == Status.Ok) pending[slot] = new PendingCall(root, load<u32>(tokenOut), callback);
  return status;
}

/** Whether `count` more calls can be started now. */
export function canCall(count: i32 = 1): bool {
  for (let i = 0; i < MAX_CALLS && count > 0; i++) {
    if (pending[i] === null) count -= 1;
  }
  return count <= 0;
}

function freeSlot(): i32 {
  for (let i = 0; i < MAX_CALLS; i++) {
    if (pending[i] === null) return i;
  }
  return -1;
}

/** For the dispatcher: hands an answer to whoever waits for it. An answer that nobody waits for is dropped. */
export function deliver(rootId: u32, token: u32, headers: i32, bodySize: i32): void {
  for (let i = 0; i < MAX_CALLS; i++) {
    const call = pending[i];
    // Tokens count per root context, so two roots can have the same one.
    if (call === null || call.token != token || call.root.id != rootId) continue;
    pending[i] = null;
    call.callback.onHttpCallResponse(headers, bodySize);
    return;
  }
}

/** For the dispatcher: the host has cancelled the calls of this root. */
export function forget(root: RootContext): void {
  for (let i = 0; i < MAX_CALLS; i++) {
    const call = pending[i];
    if (call !== null && call.root === root) pending[i] = null;
  }
}

/**
 * From the host's callbacks to contexts. The functions here are what `index.ts` exports under their ABI names; export only
 * those that the filter needs, since each costs the host a call per event.
 *
 * Whatever id the host hands in, nothing here traps. A request of an unknown stream is refused, since what the
 * filter would have checked or removed was not; any other event of an unknown context is dropped.
 */
import { BufferKind, readBuffer } from "./buffer";
import { Bytes } from "./bytes";
import { Action, RootContext, StreamContext } from "./context";
import { ContextTable } from "./context-table";
import { deliver, forget } from "./http-call";
import { Inbox } from "./inbox";
import { log, LogLevel } from "./log";
import { collectLater, collectNow } from "./memory";
import { PairsWriter } from "./pairs";
import { Status } from "./status";
import { sendLocalReply } from "./stream";

/** Streams alive at the same time in one VM. One more is refused. */
const MAX_STREAMS: i32 = 1 << 18;
/** A plugin configuration larger than this is refused. */
const MAX_CONFIGURATION_BYTES: i32 = 8 << 20;

let createRoot: (() => RootContext) | null = null;
const roots: RootContext[] = [];
const streams = new ContextTable(256, MAX_STREAMS);

/** The filter's part: how a root is made. Called once, from the module's start function. */
export function registerRoot(factory: () => RootContext): void {
  createRoot = factory;
}

function findRoot(id: u32): RootContext | null {
  for (let i = roots.length - 1; i >= 0; i--) {
    if (unchecked(roots[i]).id == id) return unchecked(roots[i]);
  }
  return null;
}

/** `proxy_on_context_create`: a root if `parentId` is 0, else a stream of that root. */
export function onContextCreate(id: u32, parentId: u32): void {
  if (parentId == 0) {
    const factory = createRoot;
    if (factory === null || findRoot(id) !== null) return;
    const root = factory();
    root.id = id;
    roots.push(root);
    return;
  }
  const root = findRoot(parentId);
  if (root === null) return;
  const stream = root.createStream();
  if (stream === null) return;
  stream.id = id;
  if (!streams.set(id, stream)) stream.onDelete();
}

/** `proxy_on_configure`. */
export function onConfigure(rootId: u32, size: i32): bool {
  const accepted = configure(rootId, size);
  collectLater();
  collectNow();
  return accepted;
}

function configure(rootId: u32, size: i32): bool {
  const root = findRoot(rootId);
  if (root === null) return false;
  const configuration = new Inbox(0, MAX_CONFIGURATION_BYTES);
  if (size > 0) readBuffer(BufferKind.PluginConfiguration, size, configuration);
  if (configuration.status == Status.Ok || size == 0) return root.onConfigure(configuration);
  log(LogLevel.Error, Bytes.of("configuration refused: it cannot be read, or has more than 8 MiB"));
  return false;
}

/** `proxy_on_tick`. */
export function onTick(rootId: u32): void {
  tick(rootId);
  collectNow();
}

function tick(rootId: u32): void {
  const root = findRoot(rootId);
  if (root !== null) root.onTick();
}

/** `proxy_on_request_headers`. */
export function onRequestHeaders(id: u32, headers: i32, endOfStream: i32): Action {
  const stream = streams.get(id);
  return stream === null ? refuse() : stream.onRequestHeaders(headers, endOfStream != 0);
}

const STREAM_UNKNOWN = Bytes.of("stream_unknown");
/** gRPC: UNAVAILABLE. */
const GRPC_UNAVAILABLE: i32 = 14;
const noBody = Bytes.empty();
const noHeaders = new PairsWriter(0, 4);

function refuse(): Action {
  sendLocalReply(503, STREAM_UNKNOWN, noBody, noHeaders.reset(), GRPC_UNAVAILABLE);
  return Action.Pause;
}

/** `proxy_on_response_headers`. */
export function onResponseHeaders(id: u32, headers: i32, endOfStream: i32): Action {
  const stream = streams.get(id);
  return stream === null ? Action.Continue : stream.onResponseHeaders(headers, endOfStream != 0);
}

/** `proxy_on_done`. */
export function onDone(id: u32): bool {
  const stream = streams.get(id);
  return stream === null ? true : stream.onDone();
}

/** `proxy_on_log`. */
export function onLog(id: u32): void {
  const stream = streams.get(id);
  if (stream !== null) stream.onLog();
}

/** `proxy_on_delete`, of a stream or of a root. */
export function onDelete(id: u32): void {
  const stream: StreamContext | null = streams.delete(id);
  if (stream !== null) {
    stream.onDelete();
    return;
  }
  for (let i = 0; i < roots.length; i++) {
    const root = roots[i];
    if (root.id != id) continue;
    root.onDelete();
    forget(root);
    roots.splice(i, 1);
    collectLater();
    return;
  }
}

/** `proxy_on_http_call_response`. */
export function onHttpCallResponse(rootId: u32, token: u32, headers: i32, bodySize: i32, _trailers: i32): void {
  deliver(rootId, token, headers, bodySize);
  collectLater();
}

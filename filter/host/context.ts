/**
 * Contexts. A root is one plugin configuration in one VM; a stream is one request. One VM holds several roots: a new
 * configuration arrives as a new root beside the old one, which goes when its last stream has ended.
 */
import { Bytes } from "./bytes";
import { proxySetTickPeriod } from "./abi";

/** What a header callback answers. */
export const enum Action {
  Continue = 0,
  /** Nothing of the stream, body included, moves until `continueRequest` or a local reply; flow control holds the sender. */
  Pause = 1,
}

export abstract class RootContext {
  /** Given by the host; unique in its VM while the context lives. */
  id: u32 = 0;

  /**
   * The configuration, valid during the call. False refuses it. Runs also in a VM that is thrown away, so it must have no
   * effect outside of this object: no call, no shared data, no metric but its definition. The period of the tick may be set.
   */
  abstract onConfigure(configuration: Bytes): bool;

  onTick(): void {}

  /** The root goes; its streams are gone. */
  onDelete(): void {}

  /** A context for a new stream: fresh, or one that `onDelete` gave back. Null: the stream stays unknown and is refused. */
  abstract createStream(): StreamContext | null;

  /** Milliseconds between two ticks of this root; 0 for none. */
  setTickPeriod(milliseconds: i32): void {
    proxySetTickPeriod(milliseconds);
  }
}

export abstract class StreamContext {
  /** Given by the host; unique in its VM while the context lives. */
  id: u32 = 0;

  onRequestHeaders(_headers: i32, _endOfStream: bool): Action {
    return Action.Continue;
  }

  onResponseHeaders(_headers: i32, _endOfStream: bool): Action {
    return Action.Continue;
  }

  /** The stream is over. False keeps the context until `proxy_done`; this binding has no use for that. */
  onDone(): bool {
    return true;
  }

  onLog(): void {}

  /** The last word on this stream, however it ended. Afterwards its id is unknown. */
  onDelete(): void {}
}

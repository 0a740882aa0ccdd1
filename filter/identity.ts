/** The identity settings of a configuration, and what its tokens have in common. */
import { Bytes } from "./host/bytes";
import { RootContext } from "./host/context";

export const enum IdentityMode {
  Metadata,
  /** The mesh injects tokens itself: the filter adds none. */
  Off,
}

export class Identity {
  mode: IdentityMode = IdentityMode.Metadata;
  /** Cluster of the metadata server. */
  cluster: Bytes = Bytes.of("outbound|80||metadata.google.internal");
  timeoutMs: i32 = 2000;
  refreshBeforeSec: i32 = 240;
  /** Requests held at the same time in one VM. */
  maxWaiters: i32 = 1000;
  /** Requests held now, for all audiences. */
  waiting: i32 = 0;

  constructor(
    readonly root: RootContext,
    readonly hop: Bytes,
  ) {}
}

/** The identity settings of a configuration, and what its tokens have in common. */
import { AccessToken } from "./access-token";
import { Bytes, hash64 } from "./host/bytes";
import { RootContext } from "./host/context";

export const enum IdentityMode {
  /** The proxy's own service account, from the metadata server. */
  Metadata,
  /** Another service account, from the IAM Credentials API. */
  Impersonate,
  /** The mesh injects tokens itself: the filter adds none. */
  Off,
}

export class Identity {
  mode: IdentityMode = IdentityMode.Metadata;
  /** Cluster of the metadata server. */
  cluster: Bytes = Bytes.of("outbound|80||metadata.google.internal");
  /** Mode impersonate: the email of the account, and where the IAM Credentials API is. */
  serviceAccount: Bytes = Bytes.empty();
  credentialsCluster: Bytes = Bytes.empty();
  credentialsAuthority: Bytes = Bytes.empty();
  /** Of a fetch as a whole, whatever calls it takes. */
  timeoutMs: i32 = 2000;
  refreshBeforeSec: i32 = 240;
  /** Requests held at the same time in one VM. */
  maxWaiters: i32 = 1000;
  /** Requests held now, for all audiences. */
  waiting: i32 = 0;
  /** Requests held now for the keys of validators. Not among the others: whoever has no token must not take their places. */
  waitingForKeys: i32 = 0;
  /** Mode impersonate: what the IAM Credentials API is asked with. */
  readonly accessToken: AccessToken = new AccessToken();

  /** Of the hop's name, for `own-tokens.ts`. */
  readonly hopHash: i64;

  constructor(
    readonly root: RootContext,
    readonly hop: Bytes,
  ) {
    this.hopHash = <i64>hash64(hop);
  }
}

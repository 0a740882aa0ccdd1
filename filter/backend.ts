/** Where a request goes, and what it needs to get there. */
import { Bytes } from "./host/bytes";
import { BackendMetrics } from "./metrics";
import { Token } from "./token";

/** Which header carries the injected token. */
export const enum TokenHeader {
  /** `authorization`, or `x-serverless-authorization` where the caller sent an `authorization` of its own. */
  Auto,
  Authorization,
  ServerlessAuthorization,
}

export class Backend {
  /** Requests get an ID token: from here, or with mode `off` from the mesh around this hop. */
  wantsToken: bool = false;
  /** The token that this hop adds; null: none, or somebody else adds it. */
  token: Token | null = null;
  tokenHeader: TokenHeader = TokenHeader.Auto;
  /** A stand-alone Envoy only: the filter itself rewrites `:authority` to this. */
  authority: Bytes | null = null;
  /** Another hop of ours is behind this one, so its report of time is to be believed and passed on. */
  through: bool = false;

  constructor(
    readonly name: Bytes,
    readonly metrics: BackendMetrics,
  ) {}
}

/**
 * What a host function answers. Every wrapper of this folder returns one; none throws.
 * The numbers are those of proxy-wasm 0.2.1 (`proxy_status_t`).
 */
export const enum Status {
  Ok = 0,
  /** The header, property or key does not exist (which is not the same as being empty). */
  NotFound = 1,
  /** Also: an unknown cluster (http call), a header map that this callback cannot reach. */
  BadArgument = 2,
  SerializationFailure = 3,
  ParseFailure = 4,
  InvalidMemoryAccess = 6,
  Empty = 7,
  /** Somebody wrote the shared data since it was read. */
  CasMismatch = 8,
  ResultMismatch = 9,
  /** Also: an http call to a cluster without a healthy endpoint. */
  InternalFailure = 10,
  BrokenConnection = 11,
  Unimplemented = 12,
}

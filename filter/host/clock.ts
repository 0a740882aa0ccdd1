/** The two clocks. Durations come from the monotonic one; the wall clock is for the expiry of tokens alone. */
import { proxyGetCurrentTime, wasiClockTimeGet } from "./abi";

const now: usize = memory.data(8, 8);
const MONOTONIC: i32 = 1;

/** Nanoseconds of a clock that never steps (WASI clock 1); its zero has no meaning. The same for all workers. */
// @ts-ignore: decorator
@inline
export function monotonicNs(): i64 {
  wasiClockTimeGet(MONOTONIC, 0, now);
  return load<i64>(now);
}

/** Nanoseconds since 1970 by the wall clock, which may step either way. */
export function wallNs(): i64 {
  proxyGetCurrentTime(now);
  return load<i64>(now);
}

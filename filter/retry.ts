/** When to ask again after a failure, and the disorder that keeps workers and proxies apart. */

/** First retry after a failure, and the longest pause between two. */
const FIRST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 8_000;

/** Pause after so many failures in a row, in milliseconds: between half and all of 1, 2, 4, 8, 8 ... seconds. */
export function retryPauseMs(failures: i32, nowNs: i64): i64 {
  const longest = min(FIRST_MS << min(max(failures - 1, 0), 3), LONGEST_MS);
  return longest / 2 + (random(nowNs) % (longest / 2 + 1));
}

/** Enough disorder for that: the low bits of the clock, spread (the finalizer of SplitMix64). Not negative. */
export function random(nowNs: i64): i64 {
  let value = <u64>nowNs * 0x9e37_79b9_7f4a_7c15;
  value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
  return <i64>((value ^ (value >> 27)) >> 1);
}

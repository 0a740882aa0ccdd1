import type { ExpectedHop } from "../plan/revision.js";
import type { Proxies } from "./proxies.js";

/** How long nothing more comes from istiod when it has sent all that was applied together. */
const QUIET_MS = 400;
/** If nothing has come by then, there was nothing that the proxies had to be told. */
const NOTHING_NEW_MS = 2000;
/** A mesh in which others change something all the time is never quiet. */
const MOST_MS = 10_000;

/**
 * Looks how much each proxy has had from istiod. What is returned waits until each has had more, and then nothing more for a
 * moment: Envoy has no other sign, for those who may only read its metrics, that it has new routes. `pause` is the time between
 * two looks.
 */
export async function beginSettling(
  proxies: Proxies,
  hops: readonly ExpectedHop[],
  pause: () => Promise<void>,
): Promise<() => Promise<void>> {
  const initial = await bytesOf(proxies, hops);
  return async () => {
    const startMs = performance.now();
    let last = initial;
    let quietSinceMs = startMs;
    for (;;) {
      await pause();
      const now = await bytesOf(proxies, hops);
      const nowMs = performance.now();
      if ([...now].some(([pod, size]) => size !== last.get(pod))) quietSinceMs = nowMs;
      last = now;
      const isNewEverywhere = [...initial].every(([pod, size]) => now.get(pod) !== size);
      const tookMs = nowMs - startMs;
      if (nowMs - quietSinceMs >= QUIET_MS && (isNewEverywhere || tookMs >= NOTHING_NEW_MS)) return;
      if (tookMs >= MOST_MS) return;
    }
  };
}

/** By Pod. A proxy that cannot be asked is left out. */
async function bytesOf(proxies: Proxies, hops: readonly ExpectedHop[]): Promise<ReadonlyMap<string, number>> {
  const statuses = await proxies.statuses(hops);
  return new Map(
    statuses.flatMap(({ namespace, pod, report }) =>
      report === undefined ? [] : [[`${namespace}/${pod}`, report.configurationBytes]],
    ),
  );
}

import type { ProxyStatus } from "../kubernetes/proxies.js";
import { lastError } from "../plan/proxy-report.js";

/** A proxy of a hop as data. Times are as in RFC 3339; counters are of the proxy's Envoy since it started. */
export function proxyAsJson({ hop, namespace, pod, state, reason, sinceSec, report }: ProxyStatus): object {
  const error = report === undefined ? undefined : lastError(report, hop);
  return {
    hop,
    namespace,
    pod,
    state,
    ...(reason !== "" && { reason }),
    ...(sinceSec !== undefined && { since: timeText(sinceSec) }),
    ...(error !== undefined && { last_error: { what: error.what, code: error.code, at: timeText(error.atSec) } }),
    ...(report !== undefined && {
      workers: report.workers,
      requests: report.requests,
      token_fetches: report.tokenFetches,
      key_fetches: report.keyFetches,
    }),
  };
}

function timeText(sec: number): string {
  return new Date(sec * 1000).toISOString().replace(".000Z", "Z");
}

/** How long ago that was, in the two largest units, as kubectl has ages. */
export function age(sec: number, nowMs: number): string {
  const total = Math.max(0, Math.floor(nowMs / 1000 - sec));
  const parts = UNITS.map(([unit, length], index) => {
    const above = UNITS[index - 1]?.[1];
    return [unit, Math.floor((above === undefined ? total : total % above) / length)] as const;
  });
  const first = parts.findIndex(([, count]) => count > 0);
  if (first < 0) return "0s";
  const shown = parts.slice(first, first + 2).filter(([, count]) => count > 0);
  return shown.map(([unit, count]) => `${String(count)}${unit}`).join("");
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["m", 60],
  ["s", 1],
];

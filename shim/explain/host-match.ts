/** Which host pattern of a configuration a request falls under: the filter decides, and this says which line it went by. */

import { closest } from "../config/closest.js";
import { normalHost } from "../config/host-name.js";

export interface HostMatch {
  readonly type: "exact" | "wildcard" | "none";
  /** As the configuration has it; null where nothing matches. */
  readonly pattern: string | null;
}

/** The name in an `:authority` or Host header: lower case, without port and without one trailing dot. */
export function hostOfAuthority(authority: string): string {
  const [, address] = /^\[(.*)\](?::\d*)?$/.exec(authority) ?? [];
  return address ?? normalHost(authority.replace(/:\d*$/, ""));
}

/** The pattern that `host` falls under: itself, else the longest `*.` suffix. `patterns` are in lower case. */
export function matchHost(host: string, patterns: Iterable<string>): HostMatch {
  let longest: string | null = null;
  for (const pattern of patterns) {
    if (pattern === host) return { type: "exact", pattern };
    const covers = pattern.startsWith("*.") && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
    if (covers && pattern.length > (longest?.length ?? 0)) longest = pattern;
  }
  return { type: longest === null ? "none" : "wildcard", pattern: longest };
}

/** The pattern that was most likely meant by a host that matches none; null if none is near. */
export function nearestPattern(host: string, patterns: Iterable<string>): string | null {
  const [label = ""] = host.split(".", 1);
  const meant = new Map<string, string>();
  for (const pattern of patterns) {
    // `*.x` never covers `x` itself: whoever asks for that has most likely forgotten the first label.
    if (pattern === `*.${host}`) return pattern;
    meant.set(pattern.replace(/^\*/, label), pattern);
  }
  return meant.get(closest(host, meant.keys()) ?? "") ?? null;
}

import { gunzipSync, gzipSync } from "node:zlib";

import type { Resource } from "../render/istio/resource.js";

/** What proxies of a hop have to report so that they run what was deployed. */
export interface ExpectedHop {
  readonly hop: string;
  readonly kind: "gateway" | "waypoint";
  readonly namespace: string;
  /** Labels of its Pods. */
  readonly podLabels: Readonly<Record<string, string>>;
  /** The label `config` of `hopgate_config`. */
  readonly config: string;
  /** The label `module` of `hopgate_config`. */
  readonly module: string;
}

/**
 * pending: being deployed, or given up half way (then the next deployment clears up behind it). deployed: every proxy ran it.
 * failed: undone.
 */
export type RevisionState = "pending" | "deployed" | "failed";

/** One deployment, as it is kept in the cluster. */
export interface Revision {
  readonly format: 1;
  readonly number: number;
  readonly state: RevisionState;
  readonly mesh: string;
  /** Reference of the filter's image. */
  readonly image: string;
  readonly hops: readonly ExpectedHop[];
  readonly resources: readonly Resource[];
  /** Titles of the resources that were there before hopgate, and are not to be removed. */
  readonly adopted: readonly string[];
  /** RFC 3339. */
  readonly startedAt: string;
  readonly endedAt?: string;
  /** The revision that this one brought back. */
  readonly rollbackOf?: number;
  /** Why it failed. */
  readonly reason?: string;
  /** Goes up while whoever began it is at it. */
  readonly beats?: number;
}

/** As the data of a Secret: compressed, for a Secret has at most 1 MiB. */
export function encodeRevision(revision: Revision): string {
  return gzipSync(JSON.stringify(revision)).toString("base64");
}

/** undefined: not one of ours. */
export function decodeRevision(data: string): Revision | undefined {
  try {
    const revision = JSON.parse(gunzipSync(Buffer.from(data, "base64")).toString("utf8")) as Partial<Revision>;
    return revision.format === 1 ? (revision as Revision) : undefined;
  } catch {
    return undefined;
  }
}

/** The newest that every proxy ran; undefined: there is none. */
export function currentRevision(revisions: readonly Revision[]): Revision | undefined {
  return newestFirst(revisions).find(({ state }) => state === "deployed");
}

/**
 * The revision in whose place a new one is kept, where there is no free one. Never the current one, and one that is half done since only
 * if there is nothing else: it says what it may have left. Attempts that failed before what was deployed.
 */
export function leastNeeded(revisions: readonly Revision[]): Revision | undefined {
  const current = currentRevision(revisions);
  const isLeftover = ({ state, number }: Revision): boolean => state === "pending" && number > (current?.number ?? 0);
  const [others, leftovers] = [false, true].map((is) =>
    newestFirst(revisions).filter((revision) => revision !== current && isLeftover(revision) === is),
  );
  const attempts = others?.filter(({ state }) => state !== "deployed");
  return attempts?.at(-1) ?? others?.at(-1) ?? leftovers?.at(-1);
}

/** Why a revision failed, in one line: the first one only says what comes behind it. */
export function reasonLine({ reason = "" }: Revision): string {
  const [first = "", second = ""] = reason.split("\n");
  return first.endsWith(":") && second !== "" ? `${first} ${second.trim()}` : first;
}

export function newestFirst(revisions: readonly Revision[]): readonly Revision[] {
  return [...revisions].sort((a, b) => b.number - a.number);
}

export function nextNumber(revisions: readonly Revision[]): number {
  return Math.max(0, ...revisions.map(({ number }) => number)) + 1;
}

/** What there is to say about a revision that has not ended. */
export function halfDone({ number }: Pick<Revision, "number">): string {
  return `revision ${String(number)} is half done; hopgate deploy or hopgate rollback goes on from there`;
}

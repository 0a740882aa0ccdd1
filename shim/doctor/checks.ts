import { ANSWER_CHECKS, REQUEST_CHECKS } from "./answer.js";
import { CALLER_CHECKS } from "./callers.js";
import type { Check, Level } from "./check.js";
import { CLUSTER_CHECKS } from "./cluster.js";
import { CONNECTION_CHECKS } from "./connection.js";
import { FILE_CHECKS } from "./file.js";
import { IMAGE_CHECKS } from "./image.js";
import { PLUGIN_CHECKS } from "./plugins.js";
import { PROXY_CHECKS } from "./proxies.js";
import { REVISION_CHECKS } from "./revisions.js";
import type { ClusterSeen } from "./seen.js";
import { TLS_CHECKS } from "./tls.js";
import { WORKLOAD_CHECKS } from "./workloads.js";

/** What the first two digits of a code stand for. */
export const GROUPS: readonly { readonly prefix: string; readonly title: string }[] = [
  { prefix: "HG01", title: "the file" },
  { prefix: "HG02", title: "the image" },
  { prefix: "HG03", title: "the cluster" },
  { prefix: "HG04", title: "hops and services" },
  { prefix: "HG05", title: "TLS and clusters" },
  { prefix: "HG06", title: "callers" },
  { prefix: "HG07", title: "proxies" },
  { prefix: "HG08", title: "the answer" },
];

/** Everything that is judged by what a cluster has. */
export const ALL_CLUSTER_CHECKS: readonly Check<ClusterSeen>[] = [
  ...CLUSTER_CHECKS,
  ...PLUGIN_CHECKS,
  ...WORKLOAD_CHECKS,
  ...REVISION_CHECKS,
  ...TLS_CHECKS,
  ...CALLER_CHECKS,
  ...PROXY_CHECKS,
];

/** Every check there is, in the order of the codes, as documentation shows it. */
export function allChecks(): readonly { code: string; level: Level; title: string; why: string }[] {
  const all = [
    ...FILE_CHECKS,
    ...IMAGE_CHECKS,
    ...CONNECTION_CHECKS,
    ...ALL_CLUSTER_CHECKS,
    ...REQUEST_CHECKS,
    ...ANSWER_CHECKS,
  ].map(({ code, level, title, why }) => ({ code, level, title, why }));
  return all.sort((a, b) => (a.code < b.code ? -1 : 1));
}

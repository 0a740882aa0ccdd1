import type { ProxyStatus } from "../kubernetes/proxies.js";
import { STAT_TAGS } from "../render/stat-tags.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import { meaningOf } from "./fetch-results.js";
import type { ClusterSeen } from "./seen.js";

/** What the proxies say about themselves. */
export const PROXY_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0701",
    level: "error",
    title: "every proxy runs the filter",
    why: "A proxy without it denies every request, or knows no route. Fresh ones whose configuration was refused answer 500.",
    after: true,
    find: inState("absent", "look for the reason at its side: HG0704, HG0401, and the Pod's log for hopgate:"),
  },
  {
    code: "HG0702",
    level: "error",
    title: "every proxy runs what was deployed",
    why: "Envoy keeps the old configuration where it refuses the new one, and shows the new one as if it were loaded.",
    after: true,
    find: inState(
      "other",
      "look at the Pod's log for hopgate:, which says why it was refused; hopgate status --watch shows when it changes",
    ),
  },
  {
    code: "HG0703",
    level: "error",
    title: "every proxy can be asked",
    why: "What it runs is not known.",
    after: true,
    find: inState("unknown", "look whether the Pod is ready, and its port 15090 open to the API server"),
  },
  {
    code: "HG0704",
    level: "error",
    title: "proxies can fetch the module",
    why: "Istio puts a filter in its place that denies everything: callers see 403, RBAC: access denied.",
    after: true,
    find: ({ moduleFetches }) =>
      [...moduleFetches].flatMap(([pod, read]) =>
        whenRead(`Pod ${pod}`, read, (counts) => {
          const failures = Object.entries(counts).filter(([result, count]) => result !== "success" && count > 0);
          return failures.map(([result, count]) => ({
            about: `Pod ${pod}`,
            reason: `${String(count)} fetches ended with ${result}`,
            fix: "look at HG0201 to HG0211, and whether the Pod reaches the registry; its log (istio-proxy) has the reason",
          }));
        }),
      ),
  },
  {
    code: "HG0705",
    level: "error",
    title: "proxies get the tokens that they add",
    why: "Requests are answered with 503 token_unavailable.",
    after: true,
    find: (seen) => fetches(seen, "tokenFetches", false),
  },
  {
    code: "HG0706",
    level: "error",
    title: "proxies get the keys of validators",
    why: "Requests are answered with 503 keys_unavailable.",
    after: true,
    find: (seen) => fetches(seen, "keyFetches", false),
  },
  {
    code: "HG0707",
    level: "warning",
    title: "the filter's metrics have labels",
    why: "Without the stat tags the labels are a part of each metric's name, and dashboards find none.",
    after: true,
    find: forEachProxy(({ hop, namespace, pod, report }) =>
      report?.hasLabels === false
        ? [
            {
              about: `${hop}: Pod ${namespace}/${pod}`,
              reason: `it was started without extraStatTags ${STAT_TAGS.join(",")}`,
              fix: "annotate the Pods (hopgate render --gcloud prints the line for gateways that were installed with Istio), or set extraStatTags in the proxy configuration; then restart them",
            },
          ]
        : [],
    ),
  },
  {
    code: "HG0708",
    level: "warning",
    title: "no fetch of tokens or keys fails",
    why: "What is kept serves for a while, and then requests are answered with 503.",
    after: true,
    find: (seen) => [...fetches(seen, "tokenFetches", true), ...fetches(seen, "keyFetches", true)],
  },
];

function forEachProxy(judge: (proxy: ProxyStatus) => readonly Remark[]): Check<ClusterSeen>["find"] {
  return ({ proxies }) => whenRead("proxies", proxies, (all) => all.flatMap(judge));
}

function inState(state: ProxyStatus["state"], fix: string): Check<ClusterSeen>["find"] {
  return forEachProxy((proxy) => {
    if (proxy.state !== state) return [];
    const about = `${proxy.hop}: Pod ${proxy.namespace}/${proxy.pod}`;
    return proxy.isForbidden === true ? [{ about, unknown: proxy.reason }] : [{ about, reason: proxy.reason, fix }];
  });
}

/** The fetches that failed: all of them, or with `partly`, some. They are counted since the proxy started. */
function fetches(seen: ClusterSeen, which: "tokenFetches" | "keyFetches", partly: boolean): readonly Remark[] {
  const what = which === "tokenFetches" ? "tokens" : "keys";
  return forEachProxy(({ hop, namespace, pod, report }): readonly Finding[] => {
    const counts = report?.[which] ?? {};
    const hasSuccess = (counts["ok"] ?? 0) > 0;
    if (hasSuccess !== partly) return [];
    return Object.entries(counts)
      .filter(([result, count]) => result !== "ok" && count > 0)
      .map(([result, count]) => {
        const { reason, fix } = meaningOf(result);
        const about = `${hop}: Pod ${namespace}/${pod}`;
        return { about, reason: `${String(count)} fetches of ${what} ended with ${result}: ${reason}`, fix };
      });
  })(seen);
}

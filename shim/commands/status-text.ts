import type { ProxyStatus } from "../kubernetes/proxies.js";
import { colours, type Paint } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { table } from "../output/table.js";
import { harmless } from "../output/text.js";
import { lastError } from "../plan/proxy-report.js";
import { halfDone, type Revision } from "../plan/revision.js";
import { hopNameOf } from "../render/istio/labels.js";
import { stageOf, titleOf } from "../render/istio/resource.js";
import { revisionAsJson } from "./history.js";
import { age, proxyAsJson } from "./proxy-text.js";
import { counted, namesOf } from "./resource-names.js";
import type { ClusterFailure, ClusterStatus } from "./status.js";
import { strayReport } from "./stray-plugins.js";

export function statusAsJson(status: ClusterStatus | ClusterFailure): object {
  if ("error" in status) return status;
  const { context, current, last, proxies, drifted, strays } = status;
  return {
    context,
    ...(current !== undefined && { current: revisionAsJson(current) }),
    ...(last !== undefined && { last: revisionAsJson(last) }),
    hops: (current?.hops ?? []).map(({ hop, namespace, config, module }) => ({
      hop,
      namespace,
      resource: pluginOf(current, hop),
      config,
      module,
      proxies: proxies.filter((proxy) => proxy.hop === hop).map(proxyAsJson),
    })),
    not_as_deployed: "unknown" in drifted ? { unknown: drifted.unknown } : drifted.value.map(titleOf),
    ...("value" in strays && strays.value.length > 0 && { plugins_of_no_revision: strays.value.map(titleOf) }),
  };
}

/** What there is to say about a cluster, for people. */
export function statusText(status: ClusterStatus | ClusterFailure, io: Io): string {
  const paint = colours(io);
  if ("error" in status) return `${status.context}: ${paint("red", harmless(status.error))}`;
  return [
    ...headLines(status),
    ...warnings(status).map((line) => paint("yellow", harmless(line))),
    ...proxyLines(status, paint),
  ].join("\n");
}

function headLines({ context, mesh, current, strays }: ClusterStatus): readonly string[] {
  if (current !== undefined) {
    const since = current.endedAt ?? current.startedAt;
    return [`${context}: revision ${String(current.number)}, since ${since}`, `image ${current.image}`];
  }
  const report = strayReport(mesh, "value" in strays ? strays.value : []);
  if (report === undefined) return [`${context}: nothing is deployed`];
  return [`${context}: ${report.message}`, report.fix, "hopgate doctor says whether proxies run them."];
}

function warnings({ last, drifted }: ClusterStatus): readonly string[] {
  return [...revisionWarning(last), ...driftWarning(drifted)];
}

function revisionWarning(last: Revision | undefined): readonly string[] {
  if (last === undefined) return [];
  const { number, state, startedAt, endedAt = "", reason = "" } = last;
  if (state === "pending")
    return [`revision ${String(number)} was begun at ${startedAt} and has not ended`, halfDone(last)];
  const [first = "", ...more] = reason.split("\n");
  return [
    `revision ${String(number)} failed at ${endedAt} and was undone: ${first}`,
    ...more.map((line) => `  ${line}`),
  ];
}

function driftWarning(drifted: ClusterStatus["drifted"]): readonly string[] {
  if ("unknown" in drifted) return [`whether resources are as deployed is unknown: ${drifted.unknown}`];
  const { length } = drifted.value;
  if (length === 0) return [];
  const what = length === 1 ? "1 resource is" : `${counted(length, "resource")} are`;
  return [
    `${what} not as deployed: ${namesOf(drifted.value)} (hopgate diff shows how; hopgate deploy brings them back, or says whose they are)`,
  ];
}

function proxyLines({ current, proxies }: ClusterStatus, paint: Paint): readonly string[] {
  if (current === undefined) return [];
  const nowMs = Date.now();
  const rows = proxies.map((proxy) => {
    const { hop, namespace, pod, state, reason, sinceSec, report } = proxy;
    return [
      hop,
      pluginOf(current, hop),
      `${namespace}/${pod}`,
      paint(state === "loaded" ? "green" : "red", state),
      sinceSec === undefined ? "-" : age(sinceSec, nowMs),
      countsOf(report?.requests ?? {}),
      errorOf(proxy, nowMs),
      harmless(reason),
    ];
  });
  const empty = current.hops.filter(({ hop }) => !proxies.some((proxy) => proxy.hop === hop));
  for (const { hop, namespace } of empty) rows.push([hop, pluginOf(current, hop), namespace, paint("red", "no Pods")]);
  return [table([["HOP", "RESOURCE", "PROXY", "STATE", "SINCE", "REQUESTS", "LAST ERROR", "WHY NOT"], ...rows])];
}

/** The resource by which the filter comes to the proxies of a hop. */
function pluginOf(current: Revision | undefined, hop: string): string {
  const plugin = current?.resources.find((resource) => stageOf(resource) === "plugin" && hopNameOf(resource) === hop);
  return plugin === undefined ? "-" : titleOf(plugin);
}

function errorOf({ hop, report }: ProxyStatus, nowMs: number): string {
  const error = report === undefined ? undefined : lastError(report, hop);
  return error === undefined ? "-" : `${error.what}: ${error.code}, ${age(error.atSec, nowMs)} ago`;
}

function countsOf(requests: Readonly<Record<string, number>>): string {
  const counts = Object.entries(requests).sort(([a], [b]) => (a < b ? -1 : 1));
  return counts.map(([result, count]) => `${result} ${String(count)}`).join(", ");
}

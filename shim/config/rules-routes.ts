import { elementsOf, entriesOf, hasOnlyWaypoints, type DraftRoute, type Rule } from "./draft.js";
import { type Path, type Report, renderPath, show } from "./finding.js";
import { normalHost } from "./host-name.js";

/** A route says in one way where its requests go, and in at most one whether callers are checked. */
export const routesAreWhole: Rule = (file, report) => {
  for (const [index, route] of elementsOf(file.routes)) {
    const path = ["routes", index];
    checkArms(route, path, report);
    if (route.validate !== undefined && route.open !== undefined) {
      const message = "this route has `validate`, so its callers are checked, and `open`, which says why they are not";
      report([...path, "open"], message, "keep one of the two");
    }
  }
};

function checkArms({ to, split }: DraftRoute, path: Path, report: Report): void {
  if (to === undefined && split === undefined) {
    report(path, "this route goes nowhere", "write to: BACKEND, or split: {BACKEND: 10, BACKEND: 90}");
  } else if (to !== undefined && split !== undefined) {
    report(path, "this route has both `to` and `split`", "keep one of the two");
  }
  if (split === undefined || Object.values(split).includes(undefined)) return;
  const sum = entriesOf(split).reduce((total, [, weight]) => total + weight, 0);
  if (sum !== 100) report([...path, "split"], `the shares sum to ${sum}`, "write shares that sum to 100");
}

/** A host name belongs to one route. */
export const hostsAreListedOnce: Rule = (file, report) => {
  const first = new Map<string, Path>();
  for (const [index, route] of elementsOf(file.routes)) {
    for (const [position, host] of elementsOf(route.hosts)) {
      const path = ["routes", index, "hosts", position];
      const earlier = first.get(normalHost(host));
      if (earlier === undefined) first.set(normalHost(host), path);
      else {
        const message = `${show(host)} is the same host name as ${renderPath(earlier)}`;
        report(path, message, "list it in one route, once", earlier);
      }
    }
  }
};

/** Routes are a gateway's: without one they would silently do nothing. */
export const routesHaveAGateway: Rule = (file, report) => {
  if ((file.routes ?? []).length === 0 || !hasOnlyWaypoints(file)) return;
  report(
    ["routes"],
    "no hop of this file is a gateway, and only gateways route by host",
    "add a gateway under hops, or leave routes out",
  );
};

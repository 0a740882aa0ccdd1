import { type DraftHop, entriesOf, type Rule } from "./draft.js";
import type { Path, Report } from "./finding.js";

/** A hop is one proxy, and no other hop of the file is the same one: it would run the filter, and add tokens, twice. */
export const hopsAreWhole: Rule = (file, report) => {
  if (file.hops !== undefined && Object.keys(file.hops).length === 0) {
    report(
      ["hops"],
      "there is no hop",
      "add a gateway or a waypoint, such as ingress: {gateway: {namespace, selector}}",
    );
  }
  for (const [name, { gateway, waypoint }] of entriesOf(file.hops)) {
    if (gateway === undefined && waypoint === undefined) {
      const fix = "write gateway: {namespace, selector} or waypoint: {namespace, name}";
      report(["hops", name], "this hop is neither a gateway nor a waypoint", fix);
    }
    if (gateway !== undefined && waypoint !== undefined) {
      report(
        ["hops", name],
        "this hop is both a gateway and a waypoint",
        "keep one, and make a second hop of the other",
      );
    }
    if (gateway !== undefined) checkGateway(gateway, ["hops", name, "gateway"], report);
    if (gateway?.selector !== undefined && Object.keys(gateway.selector).length === 0) {
      const message = "a selector without labels selects every Pod of the namespace";
      report(
        ["hops", name, "gateway", "selector"],
        message,
        "write the labels of the gateway's Pods, such as {istio: ingressgateway}",
      );
    }
  }
};

function checkGateway(gateway: NonNullable<DraftHop["gateway"]>, path: Path, report: Report): void {
  const { selector, name, tls, secret } = gateway;
  if (selector === undefined && name === undefined) {
    const fix = "write selector: {istio: ingressgateway}, or name: NAME of a Gateway resource";
    report(path, "this gateway has neither `selector` nor `name`", fix);
  }
  if (selector !== undefined && name !== undefined) {
    report([...path, "name"], "this gateway has both `selector` and `name`", "keep one of the two");
  }
  if (tls === false && secret !== undefined) {
    report([...path, "secret"], "`secret` is for TLS, which this gateway does not speak", "leave one of the two out");
  }
}

/** Callers are told apart by what a waypoint knows of them: a gateway's come from outside the mesh. */
export const callersAreOfWaypoints: Rule = (file, report) => {
  for (const [name, { gateway, callers }] of entriesOf(file.hops)) {
    if (gateway === undefined || callers === undefined) continue;
    const fix = "leave it out, and check the callers with `validate`";
    report(["hops", name, "callers"], "`callers` is for waypoints: a gateway's callers have no identity here", fix);
  }
};

export const hopsAreDifferentProxies: Rule = (file, report) => {
  const earlier: [string, DraftHop][] = [];
  for (const [name, hop] of entriesOf(file.hops)) {
    const twin = earlier.find(([, other]) => isSameProxy(hop, other));
    if (twin !== undefined) {
      const message = `the filter would run, and add tokens, twice in one proxy, which is also hop ${twin[0]}`;
      const fix = "keep one of the two, or write another namespace, name or selector";
      report(["hops", name], message, fix, ["hops", twin[0]]);
    }
    earlier.push([name, hop]);
  }
};

function isSameProxy(a: DraftHop, b: DraftHop): boolean {
  if (a.waypoint !== undefined && b.waypoint !== undefined) {
    return a.waypoint.namespace === b.waypoint.namespace && a.waypoint.name === b.waypoint.name;
  }
  if (a.gateway?.namespace !== b.gateway?.namespace) return false;
  if (a.gateway?.name !== undefined && a.gateway.name === b.gateway?.name) return true;
  const selectors = [a.gateway?.selector, b.gateway?.selector] as const;
  if (selectors[0] === undefined || selectors[1] === undefined) return false;
  return selectsAllOf(selectors[0], selectors[1]) || selectsAllOf(selectors[1], selectors[0]);
}

type Selector = Readonly<Record<string, string | undefined>>;

/** Every Pod that `narrow` selects is also one of `wide`'s. */
function selectsAllOf(wide: Selector, narrow: Selector): boolean {
  return Object.entries(wide).every(([label, value]) => Object.hasOwn(narrow, label) && narrow[label] === value);
}

import { type Draft, type DraftRoute, elementsOf, entriesOf, hasOnlyWaypoints, named, type Rule } from "./draft.js";
import { type Path, type Report } from "./finding.js";

export const serviceAccountFitsMode: Rule = ({ identity }, report) => {
  if (identity?.mode === "impersonate" && identity.serviceAccount === undefined) {
    const fix = "write serviceAccount: NAME@PROJECT.iam.gserviceaccount.com";
    report(["identity", "serviceAccount"], "`mode: impersonate` needs a service account", fix);
  }
  if (identity?.serviceAccount !== undefined && identity.mode !== "impersonate") {
    const message = "`serviceAccount` is used only with `mode: impersonate`";
    report(["identity", "serviceAccount"], message, "write mode: impersonate, or leave serviceAccount out");
  }
};

export const traceHasAKey: Rule = ({ timing }, report) => {
  if (timing?.expose !== "trace" || timing.key !== undefined) return;
  report(
    ["timing", "key"],
    "`expose: trace` needs a key: without one no request matches",
    "write key: SECRET, or expose: never",
  );
};

export const anyCallerStandsAlone: Rule = (file, report) => {
  for (const [name, { emails = [] }] of entriesOf(file.validators)) {
    const star = emails.indexOf("*");
    if (star === -1 || emails.length === 1) continue;
    const fix = 'leave "*" out, or write emails: ["*"]';
    report(["validators", name, "emails", star], '"*" allows any caller, so the other addresses mean nothing', fix);
  }
};

/** A backend on Cloud Run gets its token from one hop: the waypoint that it is `through`, else the gateways. */
export const everyTokenHasAHop: Rule = (file, report) => {
  if (isOff(file) || !hasOnlyWaypoints(file)) return;
  for (const [name, backend] of entriesOf(file.backends)) {
    if (backend.cloudRun === undefined || backend.through !== undefined) continue;
    const fix = "write through: WAYPOINT, or add a gateway under hops";
    report(
      ["backends", name],
      "no hop adds the ID token that Cloud Run wants: there is no gateway and no `through`",
      fix,
    );
  }
};

/**
 * Whoever reaches an edge reaches what is behind it with the identity of the hop that adds the token. So callers are
 * checked on the way (by the route, the edge or the waypoint that adds the token), or the file says why not. Also with
 * `mode: off`: then it is the identity of the mesh that would be lent. In a file without an edge the gateways are taken for such:
 * an `edge: true` that was forgotten must not open them.
 */
export const edgesCheckCallers: Rule = (file, report) => {
  const hasEdge = entriesOf(file.hops).some(([, { edge }]) => edge === true);
  for (const [name, hop] of entriesOf(file.hops)) {
    const counts = hop.edge === true || (!hasEdge && hop.gateway !== undefined);
    if (!counts || hop.validate !== undefined) continue;
    if (hop.waypoint === undefined) {
      const what = hasEdge ? `hop ${name} is an edge and` : `no hop is an edge, and gateway ${name}`;
      for (const [index, route] of elementsOf(file.routes)) {
        checkRoute(file, { name, what }, route, ["routes", index], report);
      }
    } else {
      checkWaypoint(file, name, report);
    }
  }
};

function checkRoute(
  file: Draft,
  edge: { readonly name: string; readonly what: string },
  route: DraftRoute,
  path: Path,
  report: Report,
): void {
  if (route.validate !== undefined || route.open !== undefined) return;
  const arms = [...(route.to === undefined ? [] : [route.to]), ...Object.keys(route.split ?? {})];
  for (const arm of arms) {
    const backend = named(file.backends, arm);
    if (backend?.cloudRun === undefined) continue;
    const { through } = backend;
    if (through !== undefined && named(file.hops, through)?.validate !== undefined) continue;
    const injector = through === undefined ? "adds" : `is in front of hop ${through}, which adds`;
    report(
      path,
      `${edge.what} ${injector} an ID token for backend ${arm}, but nothing checks the callers: whoever reaches ${edge.name} would use its identity`,
      'write validate: VALIDATOR, or open: "why callers need not be checked here"',
    );
    return;
  }
}

function checkWaypoint(file: Draft, edge: string, report: Report): void {
  const bound = entriesOf(file.backends).find(
    ([, backend]) => backend.cloudRun !== undefined && backend.through === edge,
  );
  if (bound === undefined) return;
  report(
    ["hops", edge],
    `this waypoint is an edge and adds an ID token for backend ${bound[0]}, but nothing checks the callers: whoever reaches it would use its identity`,
    "write validate: VALIDATOR, or leave edge out if only other hops reach it",
  );
}

function isOff(file: Draft): boolean {
  return file.identity?.mode === "off";
}

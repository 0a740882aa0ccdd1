import type { Draft, Rule } from "./draft.js";
import type { Finding, Report } from "./finding.js";
import { backendsAreWhole, servicesAreBoundOnce } from "./rules-backends.js";
import { callersCanPass } from "./rules-callers.js";
import { callersAreOfWaypoints, hopsAreDifferentProxies, hopsAreWhole } from "./rules-hops.js";
import {
  anyCallerStandsAlone,
  edgesCheckCallers,
  everyTokenHasAHop,
  serviceAccountFitsMode,
  traceHasAKey,
} from "./rules-identity.js";
import { namesAreDefined } from "./rules-names.js";
import { hostsAreListedOnce, routesAreWhole, routesHaveAGateway } from "./rules-routes.js";

const RULES: readonly Rule[] = [
  backendsAreWhole,
  servicesAreBoundOnce,
  anyCallerStandsAlone,
  routesAreWhole,
  hostsAreListedOnce,
  routesHaveAGateway,
  hopsAreWhole,
  callersAreOfWaypoints,
  hopsAreDifferentProxies,
  namesAreDefined,
  everyTokenHasAHop,
  edgesCheckCallers,
  callersCanPass,
  serviceAccountFitsMode,
  traceHasAKey,
];

/** What is wrong with how the fields of a file go together. */
export function ruleFindings(file: Draft): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (path, message, fix, other) => findings.push({ path, part: "value", message, fix, other });
  for (const rule of RULES) rule(file, report);
  return findings;
}

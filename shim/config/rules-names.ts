import { closest } from "./closest.js";
import { entriesOf, elementsOf, named, type Draft, type Rule } from "./draft.js";
import { type Path, type Report, show } from "./finding.js";

/** Every name that the file refers to is defined in it, and is of the right kind. */
export const namesAreDefined: Rule = (file, report) => {
  for (const [name, { through }] of entriesOf(file.backends)) {
    if (through !== undefined) checkWaypoint(file, ["backends", name, "through"], through, report);
  }
  for (const [index, route] of elementsOf(file.routes)) {
    const path = ["routes", index];
    if (route.to !== undefined) checkName("backend", file.backends, [...path, "to"], route.to, report);
    for (const arm of Object.keys(route.split ?? {})) {
      checkName("backend", file.backends, [...path, "split", arm], arm, report);
    }
    checkValidator(file, path, route.validate, report);
  }
  for (const [name, hop] of entriesOf(file.hops)) checkValidator(file, ["hops", name], hop.validate, report);
};

function checkValidator(file: Draft, parent: Path, validate: string | undefined, report: Report): void {
  if (validate !== undefined) checkName("validator", file.validators, [...parent, "validate"], validate, report);
}

function checkWaypoint(file: Draft, path: Path, through: string, report: Report): void {
  if (named(file.hops, through)?.gateway === undefined) {
    checkName("hop", file.hops, path, through, report);
    return;
  }
  const waypoints = entriesOf(file.hops).filter(([, hop]) => hop.waypoint !== undefined);
  const known = waypoints.length === 0 ? "" : `write ${listed(waypoints.map(([name]) => name))}, or `;
  const fix = `${known}leave \`through\` out: then the gateway adds the token`;
  report(path, `hop ${show(through)} is a gateway, and \`through\` is for waypoints`, fix);
}

function checkName(
  noun: string,
  defined: Readonly<Record<string, unknown>> | undefined,
  path: Path,
  name: string,
  report: Report,
): void {
  if (defined !== undefined && Object.hasOwn(defined, name)) return;
  const names = Object.keys(defined ?? {});
  const meant = closest(name, names);
  const known = names.length === 0 ? "" : `write one of ${listed(names)}, or `;
  const fix = meant === undefined ? `${known}define it under ${noun}s` : `did you mean ${meant}?`;
  report(path, `there is no ${noun} ${show(name)}`, fix);
}

/** The first few, so that the message stays a line. */
function listed(names: readonly string[]): string {
  return names.length <= 10 ? names.join(", ") : `${names.slice(0, 10).join(", ")}, ...`;
}

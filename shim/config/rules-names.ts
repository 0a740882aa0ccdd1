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
    for (const arm of Object.keys(route.split ?? {}))
      checkName("backend", file.backends, [...path, "split", arm], arm, report);
    checkValidator(file, path, route.validate, report);
  }
  for (const [name, hop] of entriesOf(file.hops)) checkValidator(file, ["hops", name], hop.validate, report);
};

function checkValidator(file: Draft, parent: Path, validate: string | undefined, report: Report): void {
  if (validate !== undefined) checkName("validator", file.validators, [...parent, "validate"], validate, report);
}

function checkWaypoint(file: Draft, path: Path, through: string, report: Report): void {
  const waypoints = entriesOf(file.hops).filter(([, hop]) => hop.waypoint !== undefined);
  if (named(file.hops, through)?.gateway === undefined) {
    checkName("hop", file.hops, path, through, report);
    return;
  }
  const names = waypoints.map(([name]) => name);
  const fix =
    names.length === 0
      ? "leave `through` out, or add a waypoint under hops"
      : `leave \`through\` out, or write the name of a waypoint: ${names.join(", ")}`;
  report(path, `hop ${show(through)} is a gateway, and \`through\` is for waypoints`, fix);
}

function checkName(
  noun: string,
  defined: Readonly<Record<string, unknown>> | undefined,
  path: Path,
  name: string,
  report: Report,
): void {
  if (named(defined, name) !== undefined) return;
  const names = Object.keys(defined ?? {});
  const meant = closest(name, names);
  const known =
    names.length === 0 ? `define it under ${noun}s` : `write one of ${names.join(", ")}, or define it under ${noun}s`;
  report(path, `there is no ${noun} ${show(name)}`, meant === undefined ? known : `did you mean ${meant}?`);
}

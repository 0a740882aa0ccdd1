import { type Demands, carriersOf, credentialsFor } from "./credential.js";
import { type Draft, elementsOf, entriesOf, named, type Rule } from "./draft.js";
import type { Path, Report } from "./finding.js";

/** A place of the file that says by which validator callers are checked. */
interface Place {
  readonly path: Path;
  readonly name: string;
  readonly validator: Demands & { readonly forward: boolean };
}

/**
 * A request may be checked more than once: by the gateway, by its route there, and by a waypoint. A caller has one token in each
 * header, so checks that look into the same header must have a token in common, and none may take away what the next one wants.
 */
export const callersCanPass: Rule = (file, report) => {
  const reported = new Set<string>();
  const once: Report = (path, message, fix, other) => {
    const pair = JSON.stringify([path, other]);
    if (!reported.has(pair)) report(path, message, fix, other);
    reported.add(pair);
  };
  for (const [gatewayName, gateway] of entriesOf(file.hops)) {
    if (gateway.gateway === undefined) continue;
    const ofGateway = placeOf(file, ["hops", gatewayName, "validate"], gateway.validate);
    for (const [index, route] of elementsOf(file.routes)) {
      const ofRoute = placeOf(file, ["routes", index, "validate"], route.validate);
      if (ofGateway && ofRoute) compare(ofGateway, ofRoute, once);
      for (const arm of [...(route.to === undefined ? [] : [route.to]), ...Object.keys(route.split ?? {})]) {
        const through = named(file.backends, arm)?.through;
        if (through === undefined) continue;
        const ofWaypoint = placeOf(file, ["hops", through, "validate"], named(file.hops, through)?.validate);
        for (const before of [ofGateway, ofRoute]) {
          if (before === undefined || ofWaypoint === undefined) continue;
          compare(before, ofWaypoint, once);
          handOver(before, ofWaypoint, once);
        }
      }
    }
  }
};

/** Undefined where nothing is checked, or where the validator is not whole: then the schema has something to say. */
function placeOf(file: Draft, path: Path, name: string | undefined): Place | undefined {
  const draft = name === undefined ? undefined : named(file.validators, name);
  if (name === undefined || draft === undefined) return undefined;
  const { issuers, audiences, emails, algorithm, maxLifetimeSec, forward, header } = draft;
  if (!issuers || !audiences || !emails || !algorithm || maxLifetimeSec === undefined || forward === undefined) {
    return undefined;
  }
  const texts = (list: readonly (string | undefined)[]): readonly string[] => list.filter((text) => text !== undefined);
  const demands = { issuers: texts(issuers), audiences: texts(audiences), emails: texts(emails) };
  return { path, name, validator: { ...demands, algorithm, header, maxLifetimeSec, forward } };
}

/** The header that both look into, if they do. */
function sharedHeader(before: Place, behind: Place): string | undefined {
  const [first, second] = carriersOf([before.validator, behind.validator]);
  return first === second ? first : undefined;
}

function compare(before: Place, behind: Place, report: Report): void {
  const header = sharedHeader(before, behind);
  if (header === undefined || credentialsFor([before.validator, behind.validator]) !== undefined) return;
  report(
    behind.path,
    `no caller can pass: validator ${before.name} in front of this one looks into ${header} too, and no token satisfies both`,
    "give both an issuer, an audience, an e-mail address and the algorithm in common, or one of them another header",
    before.path,
  );
}

function handOver(before: Place, behind: Place, report: Report): void {
  const header = sharedHeader(before, behind);
  if (header === undefined || before.validator.forward) return;
  report(
    behind.path,
    `no caller can pass: validator ${before.name} in front of this one takes away the token in ${header}, which this one wants to see`,
    `write forward: true in ${before.name}, or leave one of the two checks out`,
    before.path,
  );
}

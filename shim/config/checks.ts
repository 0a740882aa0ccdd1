import type { Hop, Mesh, Route, Validator } from "./model.js";

/** A hop that checks callers, and by what. */
export interface Check {
  readonly hop: Hop;
  readonly validator: Validator;
}

/**
 * Who checks the callers of `route` from `gateway` on, in the order of the way: the gateway, and the waypoints in front of the
 * backends. Of a split, all of them: which arm a caller gets is not known beforehand.
 */
export function checksOn(mesh: Mesh, gateway: Hop, route: Route): readonly Check[] {
  const waypoints = route.arms.flatMap(({ backend }) => mesh.hops.get(mesh.backends.get(backend)?.through ?? "") ?? []);
  const named = [
    { hop: gateway, name: gateway.validate },
    { hop: gateway, name: route.validate },
    ...[...new Set(waypoints)].map((hop) => ({ hop, name: hop.validate })),
  ];
  const checks: Check[] = [];
  for (const { hop, name } of named) {
    const validator = mesh.validators.get(name ?? "");
    const isKnown = checks.some((check) => check.hop === hop && check.validator === validator);
    if (validator !== undefined && !isKnown) checks.push({ hop, validator });
  }
  return checks;
}

import type { Arm, Backend, Mesh, Route } from "../config/model.js";

/**
 * A mesh whose rendered routes serve both: what the filter chooses by the old configuration, and what it chooses by the new one.
 * Routes and plugin are not replaced in the same instant, and a request is lost that the filter sends to a backend which the
 * routes do not know. Where both have a backend of the same name, the new one stands.
 */
export function transition(before: Mesh, after: Mesh): Mesh {
  const backends = new Map<string, Backend>([...before.backends, ...after.backends]);
  const hosts = new Map<string, Map<string, Arm>>();
  for (const { hosts: names, arms } of [...before.routes, ...after.routes]) {
    for (const host of names) {
      const known = hosts.get(host) ?? new Map<string, Arm>();
      for (const arm of arms) known.set(arm.backend, arm);
      hosts.set(host, known);
    }
  }
  const routes = [...hosts].map(([host, arms]): Route => ({
    hosts: [host],
    arms: [...arms.values()],
    sticky: undefined,
    validate: undefined,
    open: undefined,
  }));
  return { ...after, backends, routes, validators: new Map([...before.validators, ...after.validators]) };
}

import { describe, expect, it } from "vitest";
import type { Hop } from "../../../shim/config/model.js";
import { readYaml } from "../../../shim/config/yaml-source.js";
import { refusalProblem } from "../../../shim/explain/refusal.js";
import { agents, ingress } from "../render/envoy/sample.js";

const TEXT = `backends:
  kb: { cloudRun: {} }
routes:
  - { hosts: [a, b], to: kb }
hops:
  ingress: { gateway: {}, unmatched: reject }
  agents: { waypoint: {} }
`;
const source = readYaml(TEXT, "hopgate.yaml");

describe("what the filter of a hop refuses", () => {
  it.each<[string, Hop, string, number, number]>([
    ["routes[0].hosts[1]: is listed twice", ingress, "routes[0].hosts[1]", 4, 18],
    ["routes[0].to[0].weight: must be an integer", ingress, "routes[0].to", 4, 22],
    ["routes[7]: is odd", ingress, "routes", 3, 1],
    ["routes[0].hosts[0]: is not a valid host name", agents, "hops.agents", 7, 3],
    ["backends.kb.token.audience: is required", agents, "backends.kb", 2, 3],
    ["unmatched: must be one of pass, reject", ingress, "hops.ingress.unmatched", 6, 27],
    ["identity.mode: is not available", ingress, "hops.ingress", 6, 3],
    ["hop: must be 1 to 63 of a-z, 0-9 and -", ingress, "hops.ingress", 6, 3],
    ["configuration: is not valid JSON at byte 3", ingress, "hops.ingress", 6, 3],
    ["it gives no reason", agents, "hops.agents", 7, 3],
  ])("stands where the file says it: %s", (reason, hop, path, line, column) => {
    const problem = refusalProblem("hopgate.yaml", source, hop, reason);
    expect(problem).toMatchObject({ file: "hopgate.yaml", path, line, column });
    expect(problem.message).toBe(`the filter of hop ${hop.name} refuses its configuration: ${reason}`);
  });
});

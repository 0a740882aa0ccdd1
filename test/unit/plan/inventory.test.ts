import { describe, expect, it } from "vitest";

import { adoptedBy, inventory } from "../../../shim/plan/inventory.js";
import type { Revision, RevisionState } from "../../../shim/plan/revision.js";
import { type Resource, titleOf } from "../../../shim/render/istio/resource.js";

const resource = (kind: string, name: string, labels = {}): Resource => ({
  apiVersion: "v1",
  kind,
  metadata: { name, namespace: "n", labels },
  spec: { hosts: [] },
});
const revision = (number: number, state: RevisionState, resources: readonly Resource[]): Revision => ({
  format: 1,
  number,
  state,
  mesh: "shop",
  image: "",
  hops: [],
  resources,
  adopted: [],
  startedAt: "",
});
const titles = (revisions: readonly Revision[]): string[] => inventory(revisions).map(titleOf).sort();

describe("what may be in a cluster", () => {
  it("is what the current revision has, not what was before it", () => {
    const old = revision(1, "deployed", [resource("Service", "old")]);
    expect(titles([old, revision(2, "deployed", [resource("Service", "new")])])).toEqual(["Service n/new"]);
  });

  it("is also what one that ended half way has brought, and the routes of before that it may have left", () => {
    const current = revision(1, "deployed", [resource("VirtualService", "a")]);
    const half = revision(2, "pending", [resource("VirtualService", "a"), resource("Service", "b")]);
    expect(titles([current, half])).toEqual([
      "Service n/b",
      "VirtualService n/a",
      expect.stringMatching(/^VirtualService n\/a-before-[0-9a-f]{8}$/),
    ]);
  });

  it("was there before hopgate where it is there, without our label, and no revision has it", () => {
    const ours = resource("Service", "ours", {
      "app.kubernetes.io/managed-by": "hopgate",
      "app.kubernetes.io/instance": "shop",
    });
    const change = (live: Resource): { resource: Resource; live: Resource; applied: Resource } => ({
      resource: live,
      live,
      applied: live,
    });
    const theirs = resource("Gateway", "waypoint");
    expect(adoptedBy([], [], [change(ours), change(theirs)])).toEqual(["Gateway.v1 n/waypoint"]);
  });
});

import { describe } from "vitest";

import { REVISION_CHECKS } from "../../../shim/doctor/revisions.js";
import { describeChecks, healthy, known, liveWith, revision, seenWith } from "./support.js";

const [resource] = healthy().resources;
if (resource === undefined) throw new Error("the sample has no resources");

describe("the checks of revisions", () => {
  describeChecks(REVISION_CHECKS, () => healthy(), [
    {
      code: "HG0415",
      what: "one that has not ended",
      seen: () => seenWith({ revisions: known([revision(1), revision(2, { state: "pending" })]) }),
      says: "revision 2: it was begun at 2026-03-01T11:00:00Z, and has not ended",
    },
    {
      code: "HG0416",
      what: "one that was undone",
      seen: () =>
        seenWith({ revisions: known([revision(1), revision(2, { state: "failed", reason: "no Pods\nat all" })]) }),
      says: "revision 2: it failed, and revision 1 is in place: no Pods",
    },
    {
      code: "HG0417",
      what: "a resource that is gone",
      seen: () => seenWith({ drift: known([{ resource, live: undefined, applied: resource }]) }),
      says: "it is gone",
    },
    {
      code: "HG0417",
      what: "a resource that was changed",
      seen: () => seenWith({ drift: known([{ resource, live: { ...resource, spec: {} }, applied: resource }]) }),
      says: "it is not as it was deployed",
    },
    {
      code: "HG0418",
      what: "revisions elsewhere",
      seen: () =>
        liveWith("WasmPlugin agents/shop-agents", ({ metadata }) => ({
          metadata: { ...metadata, annotations: { "hopgate/revisions": "elsewhere" } },
        })),
      says: "its revisions are in elsewhere, and the file looks for them in istio-ingress",
    },
  ]);
});

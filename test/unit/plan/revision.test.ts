import { describe, expect, it } from "vitest";

import { leastNeeded, type Revision, type RevisionState } from "../../../shim/plan/revision.js";
import { revision } from "../doctor/support.js";

/** Revisions 1, 2 and so on, in these states. */
function history(...states: readonly RevisionState[]): readonly Revision[] {
  return states.map((state, index) => revision(index + 1, { state }));
}

describe("the place of a new revision is that of", () => {
  it.each<[string, readonly RevisionState[], number]>([
    ["the oldest that was deployed", ["deployed", "deployed", "deployed"], 1],
    ["an attempt that failed, before what was deployed", ["deployed", "failed", "deployed", "deployed"], 2],
    ["the oldest of such attempts", ["deployed", "deployed", "failed", "failed"], 3],
    ["one that was given up before the current", ["deployed", "pending", "deployed"], 2],
  ])("%s", (_, states, number) => {
    expect(leastNeeded(history(...states))?.number).toBe(number);
  });

  it("never that of the current one, whatever came since", () => {
    const [first, ...more] = history("deployed", ...Array.from({ length: 9 }, () => "failed" as const));
    expect(leastNeeded([...more, ...(first === undefined ? [] : [first])])?.number).toBe(2);
    expect(leastNeeded(history("deployed"))).toBeUndefined();
  });

  it("one that is half done only where there is nothing else: it says what may have been left", () => {
    expect(leastNeeded(history("deployed", "deployed", "pending", "pending"))?.number).toBe(1);
    expect(leastNeeded(history("deployed", "pending", "pending"))?.number).toBe(2);
  });
});

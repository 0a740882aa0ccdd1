import { describe, expect, it } from "vitest";
import { drawExplanation } from "../../../shim/explain/draw.js";
import type { HopExplanation } from "../../../shim/explain/hop.js";
import type { Explanation } from "../../../shim/explain/path.js";

const HOP: HopExplanation = {
  hop: "ingress",
  kind: "gateway",
  edge: true,
  outcome: "routed",
  match: { by: "authority", name: "a.kb.example", type: "wildcard", pattern: "*.kb.example", nearest: null },
  backend: "kb",
  arms: [{ backend: "kb", share_percent: 100 }],
  chosen_by: "only_arm",
  sticky: null,
  validators: [],
  open: null,
  token: { audience: "https://kb.example", header: "authorization" },
  no_token_because: null,
  removed_headers: ["x-hopgate-caller"],
  set_headers: [{ name: "x-hopgate-backend", value: "kb" }],
  cluster: "outbound|80||kb.example",
  rewritten_authority: "kb.example",
  reply: null,
};

const EXPLANATION: Explanation = {
  method: "GET",
  url: "https://a.kb.example/",
  backend: "kb",
  caller: null,
  token: { hop: "ingress", audience: "https://kb.example", header: "authorization" },
  reply: null,
  hops: [HOP],
};

function drawn(hop: Partial<HopExplanation>, explanation: Partial<Explanation> = {}, env = {}): string {
  const output = { write: () => undefined };
  return drawExplanation(
    { ...EXPLANATION, hops: [{ ...HOP, ...hop }], ...explanation },
    { stdout: output, stderr: output, env },
  );
}

describe("an explanation", () => {
  it("is a heading and a section of aligned rows for each hop", () => {
    expect(drawn({}, {}, { LANG: "C.UTF-8" })).toBe(
      [
        "GET https://a.kb.example/",
        "client → ingress → backend kb",
        "",
        "ingress (gateway, edge)",
        "  host       a.kb.example, under *.kb.example",
        "  backend    kb",
        "  callers    not checked",
        "  token      for https://kb.example, in authorization",
        "  removes    x-hopgate-caller",
        "  sets       x-hopgate-backend: kb",
        "  cluster    outbound|80||kb.example",
        "  authority  rewritten to kb.example",
      ].join("\n"),
    );
  });

  it("says who checks the caller, and where that is written", () => {
    const google = { name: "google", of: "hop", header: null, audiences: ["https://a"], emails: ["*"] } as const;
    const emails = ["a@b.c", "d@b.c", "e@b.c", "f@b.c", "g@b.c"];
    const partners = { name: "partners", of: "route", header: "x-jwt", audiences: ["b", "c"], emails } as const;
    const text = drawn({ validators: [google, partners] });
    expect(text).toContain("callers    checked by google, as the hop says; checked by partners, as the route says");
    expect(text).toContain(
      "accepts    anybody, with a token for https://a in authorization; " +
        "and a@b.c or d@b.c or e@b.c or 2 more, with a token for b or c in x-jwt",
    );
  });

  it("says what happens to a caller without a token beside what happens to one with a good one", () => {
    const without_token = { hop: "ingress", status: 401, code: "token_missing", detail: null };
    expect(drawn({}, { caller: { token: "assumed", without_token } }).split("\n")[2]).toBe(
      "for a caller with a token that all who check it accept; without a token, ingress answers 401 token_missing",
    );
  });

  it("says that it takes the signature of a given token to hold, where it came to that", () => {
    const caller = { token: "given", without_token: null } as const;
    const refused = (code: string) => ({ hop: "ingress", status: 401, code, detail: null });
    const said = "as if the signature of its token held";
    expect(drawn({}, { caller })).toContain(said);
    expect(drawn({}, { caller, reply: refused("token_audience") })).toContain(said);
    expect(drawn({}, { caller, reply: refused("token_malformed") })).not.toContain(said);
  });

  it("ends with the answer where a hop gives one", () => {
    const reply = { status: 404, code: "route_unmatched", detail: "No route matches." };
    const text = drawn(
      { outcome: "answered", backend: null, token: null, reply },
      { backend: null, reply: { hop: "ingress", ...reply } },
    );
    expect(text).toContain("client > ingress, which answers 404 route_unmatched");
    expect(text).toContain("answers    404 route_unmatched: No route matches.");
  });

  it.each([
    ["sticky", "x-session-id decides"],
    ["request_id", "x-request-id decides"],
    ["each_request", "each request is drawn anew, by its x-request-id, unless it sends x-session-id"],
    ["only_arm", "the others get nothing"],
  ] as const)("says what decides between arms: %s", (chosen_by, words) => {
    const arms = [
      { backend: "kb", share_percent: 10 },
      { backend: "llm", share_percent: 90 },
    ];
    const text = drawn({ chosen_by, arms, sticky: "x-session-id" });
    expect(text).toContain(`kb, 10 % of this route (kb 10 %, llm 90 %); ${words}`);
  });

  it("steers no terminal with what came from elsewhere", () => {
    expect(drawn({ set_headers: [{ name: "x-hopgate-path", value: "\u001b[2Jx" }] })).not.toContain("\u001b");
  });
});

import { expect, test } from "vitest";
import { parseMesh } from "../../../shim/config/parse.js";
import { EXAMPLE } from "./example.js";
import { refusal } from "./problems.js";

/** The example, in which the waypoint is reached by a route of its own; `validators` are beside google. */
function mesh(options: { validators?: string; gateway?: string; route?: string; google?: string }): string {
  const { validators = "", gateway = "", route = "", google = "" } = options;
  const text = EXAMPLE.replace("validators:\n", `validators:\n${validators}`)
    .replace("routes:\n", `routes:\n  - { hosts: [reports.example.internal], to: reports${route} }\n`)
    .replace("edge: true }", `edge: true${gateway} }`)
    .replace("  google:   {", `  google:   {${google}`);
  return text;
}

const OTHER = "  other: { audiences: [https://elsewhere.example], emails: [a@b.c] }\n";
const IAP =
  "  iap: { issuers: [https://cloud.google.com/iap], audiences: [/p], emails: ['*'], algorithm: ES256, header: x-goog-iap-jwt-assertion }\n";
const SAME =
  "  same: { audiences: [https://ai-platform.example.internal, https://more.example], emails: ['*'], header: Authorization }\n";

test.each([
  ["the same validator twice", { route: ", validate: google" }],
  ["validators with a token in common", { validators: SAME, gateway: ", validate: same" }],
  ["validators that look into different headers", { validators: IAP, gateway: ", validate: iap" }],
  ["a token taken away of which nobody behind wants any", { google: " forward: false," }],
])("takes %s on one way", (_what, options) => {
  expect(parseMesh(mesh(options), "hopgate.yaml").hops.size).toBe(2);
});

test.each([
  ["the route and the waypoint", { validators: OTHER, route: ", validate: other" }, "hops.agents.validate"],
  ["the gateway and its route", { validators: OTHER, gateway: ", validate: other" }, "routes[3].validate"],
  [
    "Cloud Run's header, into which those without one look too",
    { validators: OTHER.replace("}", ", header: X-Serverless-Authorization }"), route: ", validate: other" },
    "hops.agents.validate",
  ],
  [
    "different algorithms",
    { validators: SAME.replace("}", ", algorithm: ES256 }"), route: ", validate: same" },
    "hops.agents.validate",
  ],
])("refuses checks that no one token satisfies: %s", (_what, options, path) => {
  const { problems } = refusal(mesh(options));
  const said = problems.filter(({ message }) => message.startsWith("no caller can pass: validator other"));
  const same = problems.filter(({ message }) => message.startsWith("no caller can pass: validator same"));
  expect([...said, ...same].map((problem) => problem.path)).toContain(path);
  expect(new Set(problems.map((problem) => problem.path)).size).toBe(problems.length);
});

test("refuses a token to be taken away that a hop behind wants to see", () => {
  const { problems } = refusal(mesh({ google: " forward: false,", route: ", validate: google" }));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatchObject({
    path: "hops.agents.validate",
    message: expect.stringMatching(
      /google in front of this one takes away the token in authorization, .*\(line 12\)$/,
    ) as string,
    fix: "write forward: true in google, or leave one of the two checks out",
  });
});

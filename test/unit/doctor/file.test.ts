import { describe, expect, it } from "vitest";

import type { Mesh } from "../../../shim/config/model.js";
import { examine } from "../../../shim/doctor/check.js";
import { FILE_CHECKS } from "../../../shim/doctor/file.js";
import { sample } from "../render/istio/sample.js";
import { describeChecks } from "./support.js";

const VALIDATED = `validators:
  google: { audiences: [https://shop.example.internal], emails: [caller@project.iam.gserviceaccount.com] }
`;

function mesh({ more = "", hop = "edge: true", validators = VALIDATED, backends = "" } = {}): Mesh {
  return sample({
    backends: `
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 } }
  kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }${backends}`,
    routes: `
  - { hosts: [llm.example.internal], to: llm }
  - { hosts: [kb.example.internal], to: kb, validate: google }`,
    hops: `
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway }${hop.includes("tls") ? ", tls: false" : ""} }, edge: true }`,
    more: `${validators}${more}`,
  });
}

describe("the checks of the file", () => {
  describeChecks(FILE_CHECKS, () => mesh(), [
    {
      code: "HG0101",
      what: "times for everybody",
      seen: () => mesh({ more: "timing: { expose: always }\n" }),
      says: "timing.expose: it is always",
    },
    {
      code: "HG0102",
      what: "the key of the examples",
      seen: () => mesh({ more: "timing: { expose: trace, key: change-me }\n" }),
      says: "timing.key: it is the one of the examples",
    },
    {
      code: "HG0102",
      what: "a short key",
      seen: () => mesh({ more: "timing: { expose: trace, key: abc }\n" }),
      says: "less than 16 characters",
    },
    {
      code: "HG0103",
      what: "a validator that lets in anybody",
      seen: () => mesh({ validators: VALIDATED.replace(/emails: \[.*\]/, 'emails: ["*"]') }),
      says: "validators.google.emails",
    },
    {
      code: "HG0104",
      what: "a gateway that takes tokens over plain HTTP",
      seen: () => mesh({ hop: "tls" }),
      says: "hops.ingress: it checks tokens, and takes plain HTTP",
    },
    {
      code: "HG0105",
      what: "GCPBackends of two regions",
      seen: () =>
        mesh({
          backends: `
  one: { cloudRun: { url: https://one-abc123-uc.a.run.app, via: gcpBackend, region: us-central1 } }
  two: { cloudRun: { url: https://two-abc123-ew.a.run.app, via: gcpBackend, region: europe-west1 } }`,
        }),
      says: "europe-west1 and us-central1",
    },
    {
      code: "HG0106",
      what: "a route that adds a token and checks nobody",
      seen: () => sample(),
      says: "open says: a test",
    },
  ]);

  it("never show the key", () => {
    const results = examine(FILE_CHECKS, mesh({ more: "timing: { expose: trace, key: se-cret }\n" }));
    expect(JSON.stringify(results)).not.toContain("se-cret");
  });
});

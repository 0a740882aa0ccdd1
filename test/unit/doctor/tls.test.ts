import { describe, expect, it } from "vitest";

import { TLS_CHECKS } from "../../../shim/doctor/tls.js";
import type { ClusterSeen } from "../../../shim/doctor/seen.js";
import type { Resource } from "../../../shim/render/istio/resource.js";
import {
  CERTIFICATE,
  certificateFor,
  describeChecks,
  healthy,
  known,
  liveWith,
  NOW_MS,
  resultOf,
  seenWith,
} from "./support.js";

const HOST = "kb-abc123-uc.a.run.app";
const OTHER_CERTIFICATE = await certificateFor("kb.example.internal");

/** With the DestinationRules of the gateway's namespace as they come out of `change`. */
function rulesWith(change: (rules: readonly Resource[]) => readonly Resource[]): ClusterSeen {
  const { destinationRules } = healthy();
  const read = destinationRules.get("istio-ingress");
  const rules = read !== undefined && "value" in read ? read.value : [];
  return seenWith({ destinationRules: new Map([...destinationRules, ["istio-ingress", known(change(rules))]]) });
}

function byHand(tls: object | undefined): ClusterSeen {
  const rule = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "by-hand", namespace: "istio-ingress" },
    spec: { host: HOST, ...(tls !== undefined && { trafficPolicy: { tls } }) },
  } as unknown as Resource;
  return rulesWith((rules) => [...rules, rule]);
}

function secret(name: string, found: object | undefined): ClusterSeen {
  const value = found as never;
  return seenWith({ secrets: new Map([...healthy().secrets, [name, known(value)]]) });
}

const REFERENCED = "envoyfilter.istio.io/referenced-services";

describe("the checks of TLS and clusters", () => {
  describeChecks(TLS_CHECKS, () => healthy(), [
    {
      code: "HG0501",
      what: "an sni without names to look for",
      seen: () => byHand({ mode: "SIMPLE", sni: HOST }),
      says: `DestinationRule istio-ingress/by-hand: for ${HOST}, it has no subjectAltNames`,
    },
    {
      code: "HG0501",
      what: "names to look for without an sni",
      seen: () => byHand({ mode: "SIMPLE", subjectAltNames: [HOST] }),
      says: "it has no sni",
    },
    {
      code: "HG0501",
      what: "no check at all",
      seen: () => byHand({ mode: "SIMPLE", sni: HOST, subjectAltNames: [HOST], insecureSkipVerify: true }),
      says: "it checks no certificate",
    },
    { code: "HG0501", what: "plain text", seen: () => byHand({ mode: "DISABLE" }), says: "it speaks no TLS" },
    { code: "HG0501", what: "a rule of something else", seen: () => byHand(undefined), says: "it speaks no TLS" },
    {
      code: "HG0501",
      what: "no rule where there should be one",
      seen: () => rulesWith(() => []),
      says: `${HOST} in istio-ingress: there is no DestinationRule for it`,
    },
    {
      code: "HG0502",
      what: "a certificate that is not there",
      seen: () => secret("istio-ingress/shop-tls", undefined),
      says: "Secret istio-ingress/shop-tls: there is none",
    },
    {
      code: "HG0502",
      what: "a certificate without its key",
      seen: () => secret("istio-ingress/shop-tls", { type: "Opaque", certificate: CERTIFICATE, hasKey: false }),
      says: "it has no tls.crt and tls.key (type Opaque)",
    },
    {
      code: "HG0503",
      what: "a certificate of other hosts",
      seen: () =>
        secret("istio-ingress/shop-tls", { type: "kubernetes.io/tls", certificate: OTHER_CERTIFICATE, hasKey: true }),
      says: "its certificate is not for llm.example.internal, *.llm.example.internal, reports.example.internal",
    },
    {
      code: "HG0503",
      what: "an expired certificate",
      seen: () => seenWith({ nowMs: NOW_MS + 400 * 24 * 3600 * 1000 * 10 }),
      says: "its certificate expired at",
    },
    {
      code: "HG0503",
      what: "something else in its place",
      seen: () => secret("istio-ingress/shop-tls", { type: "kubernetes.io/tls", certificate: "x", hasKey: true }),
      says: "its tls.crt is no certificate",
    },
    {
      code: "HG0504",
      what: "an EnvoyFilter that is gone",
      seen: () => liveWith("EnvoyFilter agents/shop-agents", undefined),
      says: "EnvoyFilter agents/shop-agents: it is gone",
    },
    {
      code: "HG0504",
      what: "a space behind the comma",
      seen: () =>
        liveWith("EnvoyFilter agents/shop-agents", ({ metadata }) => ({
          metadata: { ...metadata, annotations: { [REFERENCED]: "www.googleapis.com, metadata.google.internal" } },
        })),
      says: "lacks metadata.google.internal, for it has spaces",
    },
    {
      code: "HG0505",
      what: "an imagePullSecret that is not there",
      seen: () => secret("agents/pull", undefined),
      says: "Secret agents/pull: there is none",
    },
    {
      code: "HG0505",
      what: "an imagePullSecret of another type",
      seen: () => secret("agents/pull", { type: "Opaque", certificate: undefined, hasKey: false }),
      says: "its type is Opaque",
    },
  ]);

  it("do not know Secrets that may not be read", () => {
    const secrets = new Map([["istio-ingress/shop-tls", { unknown: "forbidden" }]]);
    expect(resultOf(TLS_CHECKS, seenWith({ secrets }), "HG0502")).toMatchObject({ state: "unknown", findings: [] });
  });

  it("leave rules of other hosts alone", () => {
    const other = byHand({ mode: "DISABLE" });
    const rules = new Map(
      [...other.destinationRules].map(([namespace, read]) => [
        namespace,
        "value" in read
          ? known(
              read.value.map((rule) =>
                rule.metadata.name === "by-hand" ? { ...rule, spec: { host: "x.example" } } : rule,
              ),
            )
          : read,
      ]),
    );
    expect(resultOf(TLS_CHECKS, { ...other, destinationRules: rules }, "HG0501").state).toBe("passed");
  });
});

import { describe, expect, it } from "vitest";

import { PROXY_CHECKS } from "../../../shim/doctor/proxies.js";
import { describeChecks, healthy, known, proxy, resultOf, seenWith } from "./support.js";

describe("the checks of proxies", () => {
  describeChecks(PROXY_CHECKS, () => healthy(), [
    {
      code: "HG0701",
      what: "a proxy without the filter",
      seen: () => seenWith({ proxies: known([proxy({ state: "absent", reason: "it runs no filter of this hop" })]) }),
      says: "ingress: Pod istio-ingress/ingress-0: it runs no filter of this hop",
    },
    {
      code: "HG0702",
      what: "a proxy that refused its configuration",
      seen: () => seenWith({ proxies: known([proxy({ state: "other", reason: "it runs configuration 1" })]) }),
      says: "it runs configuration 1",
    },
    {
      code: "HG0703",
      what: "a proxy that does not answer",
      seen: () => seenWith({ proxies: known([proxy({ state: "unknown", reason: "HTTP 503", isForbidden: false })]) }),
      says: "HTTP 503",
    },
    {
      code: "HG0704",
      what: "a module that could not be fetched",
      seen: () =>
        seenWith({ moduleFetches: new Map([["istio-ingress/ingress-0", known({ success: 1, manifest_failure: 2 })]]) }),
      says: "Pod istio-ingress/ingress-0: 2 fetches ended with manifest_failure",
    },
    {
      code: "HG0705",
      what: "a service account that may not impersonate",
      seen: () => seenWith({ proxies: known([proxy({}, { tokenFetches: { iam_permission_denied: 3 } })]) }),
      says: "3 fetches of tokens ended with iam_permission_denied: the IAM Credentials API says 403",
    },
    {
      code: "HG0706",
      what: "a cluster that the proxy has not",
      seen: () => seenWith({ proxies: known([proxy({}, { keyFetches: { cluster_missing: 1 } })]) }),
      says: "1 fetches of keys ended with cluster_missing",
    },
    {
      code: "HG0707",
      what: "a proxy that was started without stat tags",
      seen: () => seenWith({ proxies: known([proxy({}, { hasLabels: false })]) }),
      says: "it was started without extraStatTags hop,backend,result,config,module",
    },
    {
      code: "HG0708",
      what: "fetches of which some fail",
      seen: () => seenWith({ proxies: known([proxy({}, { tokenFetches: { ok: 9, bad_status: 1 } })]) }),
      says: "1 fetches of tokens ended with bad_status",
    },
  ]);

  it("do not know a proxy that they may not ask, and that is no failure", () => {
    const seen = seenWith({ proxies: known([proxy({ state: "unknown", reason: "you may not", isForbidden: true })]) });
    expect(resultOf(PROXY_CHECKS, seen, "HG0703")).toMatchObject({ state: "unknown", findings: [] });
  });

  it("take some failed fetches for a warning, not for an error", () => {
    const seen = seenWith({ proxies: known([proxy({}, { tokenFetches: { ok: 9, bad_status: 1 } })]) });
    expect(resultOf(PROXY_CHECKS, seen, "HG0705").state).toBe("passed");
  });

  it("say what every result of a fetch means", async () => {
    const { readFileSync } = await import("node:fs");
    const { meaningOf } = await import("../../../shim/doctor/fetch-results.js");
    const reference = readFileSync("manifests/reference.md", "utf8");
    const rows = reference.split("\n").filter((line) => /hopgate_(token|key)_fetches/.test(line));
    const results = rows.flatMap((row) =>
      [...(row.split("|")[3] ?? "").matchAll(/`(\w+)`/g)].map(([, name = ""]) => name),
    );
    const failures = results.filter((name) => !["ok", "mode", "impersonate"].includes(name));
    expect(failures.length).toBeGreaterThan(15);
    expect(failures.filter((name) => meaningOf(name).reason === name)).toEqual([]);
  });
});

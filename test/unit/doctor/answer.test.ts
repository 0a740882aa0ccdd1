import { describe, expect, it } from "vitest";

import { checksOn } from "../../../shim/config/checks.js";
import type { Mesh } from "../../../shim/config/model.js";
import type { AnswerSeen } from "../../../shim/doctor/answer-seen.js";
import { ANSWER_CHECKS, REQUEST_CHECKS } from "../../../shim/doctor/answer.js";
import { examine } from "../../../shim/doctor/check.js";
import { sample } from "../render/istio/sample.js";
import { describeChecks, NOW_MS, proxy, resultOf } from "./support.js";

const AUDIENCE = "https://shop.example.internal";
const EMAIL = "caller@project.iam.gserviceaccount.com";

function meshWith(kb = "via: serviceEntry"): Mesh {
  return sample({
    backends: `
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 } }
  kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, region: us-central1, ${kb} } }`,
    routes: `
  - { hosts: [llm.example.internal], to: llm }
  - { hosts: [kb.example.internal], to: kb, validate: google }`,
    hops: "{ ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true } }",
    more: `validators: { google: { audiences: [${AUDIENCE}], emails: [${EMAIL}] } }\n`,
  });
}

interface Given extends Partial<AnswerSeen> {
  readonly kb?: string;
}

function answer(host: string, status: number, { kb, ...more }: Given = {}): AnswerSeen {
  const mesh = meshWith(kb);
  const route = mesh.routes.find(({ hosts }) => hosts.includes(host));
  const [ingress] = mesh.hops.values();
  return {
    mesh,
    host,
    requestHeaders: [],
    status,
    headers: {},
    body: "",
    route,
    callerChecks: route === undefined || ingress === undefined ? [] : checksOn(mesh, ingress, route),
    proxies: [proxy()],
    nowMs: NOW_MS,
    ...more,
  };
}

const KB = "kb.example.internal";
const LLM = "llm.example.internal";

function refused(status: number, code: string, more: Given = {}): AnswerSeen {
  return answer(KB, status, { headers: { "x-hopgate-error": code }, ...more });
}

function token(claims: object, head: object = { alg: "RS256" }): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode(head)}.${encode(claims)}.c2lnbmF0dXJl`;
}

const NOW_SEC = NOW_MS / 1000;
const GOOD = {
  iss: "https://accounts.google.com",
  aud: AUDIENCE,
  iat: NOW_SEC - 60,
  exp: NOW_SEC + 3000,
  email: EMAIL,
  email_verified: true,
};

function bearer(claims: object): AnswerSeen["requestHeaders"] {
  return [["authorization", `Bearer ${token({ ...GOOD, ...claims })}`]];
}

/** As Google's front end writes them. */
const PAGES = {
  401: "<title>401 Unauthorized</title><h2>Your client does not have permission to the requested URL <code>/</code>.</h2>",
  403: "<title>403 Forbidden</title><h2>Your client does not have permission to get URL <code>/</code> from this server.</h2>",
  404: "<title>404 Page not found</title><h2>The requested URL was not found on this server.</h2>",
};
const DENIED = { body: "RBAC: access denied" };

describe("the check of the request", () => {
  describeChecks(REQUEST_CHECKS, () => ({ host: "x.example", failure: undefined }), [
    {
      code: "HG0800",
      what: "a connection that is refused",
      seen: () => ({ host: "x.example", failure: "ECONNREFUSED" }),
      says: "ECONNREFUSED",
    },
  ]);
});

describe("the checks of the answer", () => {
  describeChecks(ANSWER_CHECKS, () => answer(KB, 200, { body: "RBAC: access denied" }), [
    {
      code: "HG0801",
      what: "no token",
      seen: () => refused(401, "token_missing"),
      says: "token_missing: validator google of hop ingress looks for a token in authorization, and there is none",
    },
    {
      code: "HG0801",
      what: "a token of another audience",
      seen: () => refused(401, "token_audience", { requestHeaders: bearer({ aud: ["https://a.example"] }) }),
      says: `its audience is https://a.example, not ${AUDIENCE}`,
    },
    {
      code: "HG0801",
      what: "a token of which nothing can be said",
      seen: () => refused(401, "token_signature_invalid", { requestHeaders: bearer({}) }),
      says: "it is the signature or its key",
    },
    {
      code: "HG0801",
      what: "a route on which this file checks nobody",
      seen: () => answer(LLM, 401, { headers: { "x-hopgate-error": "token_missing" } }),
      says: "the file checks nobody on this route",
    },
    {
      code: "HG0802",
      what: "a caller who is not on the list",
      seen: () => refused(403, "caller_not_allowed", { requestHeaders: bearer({ email: "spy@x.example" }) }),
      says: "its e-mail address is not one of the validator's",
    },
    {
      code: "HG0803",
      what: "a hop without token, which says why",
      seen: () =>
        refused(503, "token_unavailable", { proxies: [proxy({}, { tokenFetches: { not_a_metadata_server: 1 } })] }),
      says: "at hop ingress, who answered is not the metadata server",
    },
    {
      code: "HG0803",
      what: "a hop without token, which cannot be asked",
      seen: () => refused(503, "token_unavailable", { proxies: undefined }),
      says: "the proxies could not be asked why",
    },
    {
      code: "HG0804",
      what: "a hop without keys",
      seen: () => refused(503, "keys_unavailable", { proxies: [proxy({}, { keyFetches: { cluster_missing: 1 } })] }),
      says: "the proxy does not have the cluster",
    },
    {
      code: "HG0805",
      what: "a host that no route has",
      seen: () => answer("x.example.internal", 404, { headers: { "x-hopgate-error": "route_unmatched" } }),
      says: "no route of the file has the host x.example.internal",
    },
    {
      code: "HG0806",
      what: "a 403 of a proxy without the filter",
      seen: () => answer(LLM, 403, { ...DENIED, proxies: [proxy({ state: "absent" })] }),
      says: "Pod istio-ingress/ingress-0 does not run the filter (absent)",
    },
    {
      code: "HG0807",
      what: "a 403 of a proxy that runs the filter",
      seen: () => answer(LLM, 403, DENIED),
      says: "an AuthorizationPolicy says no",
    },
    {
      code: "HG0808",
      what: "a 403 of proxies that cannot be asked",
      seen: () => answer(LLM, 403, { ...DENIED, proxies: undefined }),
      says: "could not be asked which of the two",
    },
    {
      code: "HG0809",
      what: "Cloud Run's 401, with a custom audience",
      seen: () => answer(KB, 401, { body: PAGES[401], kb: 'via: serviceEntry, audience: "https://custom.example"' }),
      says: "the token that hops add is for https://custom.example, which has to be a custom audience of the service",
    },
    {
      code: "HG0810",
      what: "Cloud Run's 403",
      seen: () => answer(KB, 403, { body: PAGES[403] }),
      says: "backend kb: look whether the account of the hop that adds the token is bound",
    },
    {
      code: "HG0811",
      what: "Cloud Run's 404",
      seen: () => answer(KB, 404, { body: PAGES[404] }),
      says: "with ingress internal, requests have to come from the project's own networks",
    },
    {
      code: "HG0812",
      what: "no healthy upstream",
      seen: () => answer(LLM, 503, { body: "no healthy upstream" }),
      says: "no healthy upstream",
    },
    {
      code: "HG0812",
      what: "a certificate of another",
      seen: () =>
        answer(KB, 503, {
          body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS_error:CERTIFICATE_VERIFY_FAILED",
        }),
      says: "the certificate of who answered was not taken",
    },
    {
      code: "HG0813",
      what: "an empty 500",
      seen: () => answer(LLM, 500, { proxies: [proxy({ state: "absent" })] }),
      says: "1 proxies do not run what was deployed",
    },
    {
      code: "HG0814",
      what: "an empty 404 of a host that has a route",
      seen: () => answer(LLM, 404),
      says: `the file has a route for ${LLM}, and the proxy none`,
    },
    {
      code: "HG0815",
      what: "a page of the service's own",
      seen: () => answer(LLM, 404, { body: "no such model" }),
      says: "it looks like the service's own: 404",
    },
  ]);

  it("fail one at a time", () => {
    const answers = [
      refused(401, "token_missing"),
      refused(503, "token_unavailable"),
      answer(LLM, 403, DENIED),
      answer(LLM, 403, { ...DENIED, proxies: undefined }),
      answer(KB, 403, { body: PAGES[403] }),
      answer(LLM, 503, { body: "no healthy upstream" }),
      answer(LLM, 500),
      answer(LLM, 404),
      answer(LLM, 500, { body: "x" }),
    ];
    for (const seen of answers) {
      const failed = examine(ANSWER_CHECKS, seen).filter(({ state }) => state === "failed");
      expect(failed.map(({ code }) => code)).toHaveLength(1);
    }
  });

  it("name the commands for Google's side, with the service and its region", () => {
    const { findings } = resultOf(ANSWER_CHECKS, answer(KB, 403, { body: PAGES[403] }), "HG0810");
    expect(findings[0]?.fix).toContain("gcloud run services get-iam-policy kb --region us-central1\n");
    const ingress = resultOf(ANSWER_CHECKS, answer(KB, 404, { body: PAGES[404] }), "HG0811").findings[0]?.fix;
    expect(ingress).toContain("run.googleapis.com/ingress");
  });

  it("never repeat a token, nor who it is of", () => {
    const requestHeaders = bearer({ email: "spy@x.example", exp: 1 });
    const text = JSON.stringify(examine(ANSWER_CHECKS, refused(401, "token_expired", { requestHeaders })));
    for (const secret of ["spy@x.example", "c2lnbmF0dXJl", requestHeaders[0]?.[1] ?? "-"])
      expect(text).not.toContain(secret);
  });
});

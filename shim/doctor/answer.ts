import type { Validator } from "../config/model.js";
import { type AnswerSeen, type Answerer, answererOf, cloudRunBackends } from "./answer-seen.js";
import { CLOUD_RUN_ANSWER_CHECKS } from "./answer-cloud-run.js";
import type { Check, Finding } from "./check.js";
import { meaningOf } from "./fetch-results.js";
import { faultsOf, tokenFor } from "./token.js";

type Where = Pick<Finding, "reason" | "fix">;

/** A request to which nothing came back. */
export interface RequestSeen {
  readonly host: string;
  /** undefined: an answer came. */
  readonly failure: string | undefined;
}

export const REQUEST_CHECKS: readonly Check<RequestSeen>[] = [
  {
    code: "HG0800",
    level: "error",
    title: "an answer comes",
    why: "There is nothing to go by: the name, the network or the gateway's certificate is in the way.",
    find: ({ host, failure }) =>
      failure === undefined
        ? []
        : [
            {
              about: host,
              reason: failure,
              fix: "--resolve and --cacert say where to connect, and whom to trust; HG0409 and HG0502 are about the gateway",
            },
          ],
  },
];

/** Why a request was not answered well: at most one of these fails. */
export const ANSWER_CHECKS: readonly Check<AnswerSeen>[] = [
  ofFilter("HG0801", /^token_(?!unavailable)/, {
    title: "the caller's token is a good one",
    why: "A hop refused it with 401.",
    explain: tokenFaults,
  }),
  ofFilter("HG0802", /^caller_not_allowed$/, {
    title: "the caller may call",
    why: "The token is good, and its bearer not one of the callers whom the validator lets in (403).",
    explain: tokenFaults,
  }),
  ofFilter("HG0803", /^token_unavailable$/, {
    title: "the hop has a token for the service",
    why: "It sends no request without one (503).",
    explain: (seen) => fetchFaults(seen, "tokenFetches"),
  }),
  ofFilter("HG0804", /^keys_unavailable$/, {
    title: "the hop has the keys to check tokens with",
    why: "It could not say whether the caller's token is good (503).",
    explain: (seen) => fetchFaults(seen, "keyFetches"),
  }),
  ofFilter("HG0805", /^(?:route_unmatched|host_invalid|upgrade_unsupported)$/, {
    title: "the request is one that a route takes",
    why: "The filter answered it itself.",
    explain: ({ host, route }) => [
      route === undefined
        ? { reason: `no route of the file has the host ${host}`, fix: "hopgate explain says which hosts there are" }
        : { reason: "the request itself is refused", fix: "hopgate explain with the same headers says why" },
    ],
  }),
  from("HG0806", "policy", {
    title: "no filter is in the place of a module that could not be fetched",
    why: "Istio answers 403, RBAC: access denied, to everything.",
    explain: ({ proxies }) =>
      notLoaded(proxies).map(({ namespace, pod, state }) => ({
        reason: `Pod ${namespace}/${pod} does not run the filter (${state}), so this is no policy's answer`,
        fix: "see HG0704, and HG0201 to HG0211 about the image",
      })),
  }),
  from("HG0807", "policy", {
    title: "AuthorizationPolicies let the request through",
    why: "Istio answers 403, RBAC: access denied, to callers whom a policy does not let in.",
    explain: ({ proxies }) =>
      proxies === undefined || notLoaded(proxies).length > 0
        ? []
        : [
            {
              reason: "all proxies run the filter, so an AuthorizationPolicy says no",
              fix: "look at the policies of the gateway's and the waypoint's namespace (kubectl get authorizationpolicies -A); callers: of the waypoint in the file says whom ours let in",
            },
          ],
  }),
  from("HG0808", "policy", {
    title: "it is known who denied the request",
    why: "A policy that says no and a module that could not be fetched give the same 403, RBAC: access denied.",
    explain: ({ proxies }) =>
      proxies === undefined
        ? [
            {
              reason: "the proxies could not be asked which of the two it is",
              fix: "run it with the --context of the cluster: a proxy that runs the filter tells them apart",
            },
          ]
        : [],
  }),
  ...CLOUD_RUN_ANSWER_CHECKS,
  from("HG0812", "envoy", {
    title: "the proxy reaches the service",
    why: "Envoy has nobody to send the request to, or lost the connection (503, 504).",
    explain: unreachable,
  }),
  from("HG0813", "envoy", {
    title: "the configuration of the filter was taken",
    why: "A proxy that starts with a refused configuration is ready, and answers 500 to everything.",
    explain: ({ status, proxies }) =>
      status !== 500
        ? []
        : [
            {
              reason:
                proxies === undefined
                  ? "an empty 500 is what such a proxy answers"
                  : `${notLoaded(proxies).length.toString()} proxies do not run what was deployed`,
              fix: "see HG0701 and HG0702, and the Pod's log for hopgate:",
            },
          ],
  }),
  from("HG0814", "envoy", {
    title: "the proxy has a route for the request",
    why: "Envoy answers 404 with nothing in it where no route matches: no plugin has chosen one, or the routes do not know the host.",
    explain: ({ status, host, route }) =>
      status !== 404
        ? []
        : [
            {
              reason:
                route === undefined
                  ? `no route of the file has the host ${host}`
                  : `the file has a route for ${host}, and the proxy none`,
              fix: "hopgate diff says whether the routes are in the cluster, hopgate status whether the filter runs",
            },
          ],
  }),
  {
    code: "HG0815",
    level: "error",
    title: "the service answers well",
    why: "The answer is neither a hop's, nor Envoy's, nor Google's.",
    find: (seen) =>
      seen.status < 400 || answererOf(seen) !== "service"
        ? []
        : [
            {
              about: seen.host,
              reason: `it looks like the service's own: ${String(seen.status)}`,
              fix: "look at the service's log; hopgate trace shows who had the request, and for how long",
            },
          ],
  },
];

interface Explained {
  readonly title: string;
  readonly why: string;
  readonly explain: (seen: AnswerSeen) => readonly Where[];
}

/** An answer of the filter's own, by its code. */
function ofFilter(code: string, pattern: RegExp, { explain, ...head }: Explained): Check<AnswerSeen> {
  return from(code, "filter", {
    ...head,
    explain: (seen) => {
      const error = seen.headers["x-hopgate-error"] ?? "";
      if (!pattern.test(error)) return [];
      return explain(seen).map(({ reason, fix }) => ({ reason: `${error}: ${reason}`, fix }));
    },
  });
}

function from(code: string, answerer: Answerer, { title, why, explain }: Explained): Check<AnswerSeen> {
  return {
    code,
    level: "error",
    title,
    why,
    find: (seen) =>
      seen.status < 400 || answererOf(seen) !== answerer
        ? []
        : explain(seen).map((where) => ({ about: seen.host, ...where })),
  };
}

/** In what the caller's token is not what each hop on the way demands. */
function tokenFaults({ callerChecks, requestHeaders, nowMs }: AnswerSeen): readonly Where[] {
  const fix = "mend the token: hopgate explain shows what the validator demands";
  if (callerChecks.length === 0)
    return [
      {
        reason:
          "the file checks nobody on this route: another file is deployed, or the service is bound to a waypoint that checks callers (istio.io/use-waypoint on it or on its namespace)",
        fix: "hopgate diff shows the first; for the second, kubectl get services -A -L istio.io/use-waypoint, and name the waypoint as through: of the backend",
      },
    ];
  const found = callerChecks.flatMap(({ hop, validator }) => {
    const token = tokenFor(validator, requestHeaders);
    const name = `validator ${validator.name} of hop ${hop.name}`;
    if (token === undefined)
      return [
        {
          reason: `${name} looks for a token in ${validator.header ?? "authorization"}, and there is none`,
          fix: `send one with -H @FILE; a Google service account's is printed by:\n${printToken(validator)}`,
        },
      ];
    return faultsOf(token, validator, nowMs).map((fault) => ({ reason: `for ${name}, ${fault}`, fix }));
  });
  if (found.length > 0) return found;
  const reason =
    "all that can be read of it is as it should be, so it is the signature or its key, which only the proxy can check; or another file is deployed";
  return [{ reason, fix: "get a fresh one from the issuer; hopgate diff shows whether this file is deployed" }];
}

/** Without --include-email there is no address in it, and audiences are for service accounts alone. */
function printToken({ audiences: [audience = ""], emails: [email = "*"] }: Validator): string {
  const account = email === "*" ? "ACCOUNT" : email;
  return `gcloud auth print-identity-token --impersonate-service-account=${account} --include-email --audiences=${audience}`;
}

function fetchFaults({ proxies }: AnswerSeen, which: "tokenFetches" | "keyFetches"): readonly Where[] {
  const failed = (proxies ?? []).flatMap(({ hop, report }) =>
    Object.entries(report?.[which] ?? {})
      .filter(([result, count]) => result !== "ok" && count > 0)
      .map(([result]) => ({ hop, ...meaningOf(result) })),
  );
  if (failed.length > 0) return failed.map(({ hop, reason, fix }) => ({ reason: `at hop ${hop}, ${reason}`, fix }));
  const metric = which === "tokenFetches" ? "hopgate_token_fetches" : "hopgate_key_fetches";
  return [
    {
      reason: proxies === undefined ? "the proxies could not be asked why" : "no proxy has counted a failed fetch",
      fix: `look at the metric ${metric} of the hop that answered, and at its log for hopgate:`,
    },
  ];
}

function notLoaded(proxies: AnswerSeen["proxies"]): NonNullable<AnswerSeen["proxies"]> {
  return (proxies ?? []).filter(({ state }) => state !== "loaded");
}

function unreachable(seen: AnswerSeen): readonly Where[] {
  const { status, body } = seen;
  if (status !== 503 && status !== 504) return [];
  const isCloudRun = cloudRunBackends(seen).length > 0;
  if (/TLS_error|CERTIFICATE_VERIFY_FAILED/i.test(body)) {
    return [
      {
        reason: "the certificate of who answered was not taken",
        fix: "look at HG0501, and at where the host's name leads from the proxy's Pod",
      },
    ];
  }
  const reason = body === "" ? `Envoy's ${String(status)}` : (body.split("\n", 1)[0]?.slice(0, 200) ?? "");
  const fix = isCloudRun
    ? "look whether the host's name is resolved, and port 443 reached, from the proxy's Pod (Private Google Access, firewalls)"
    : "see HG0411 and HG0412 about the service; and its Pods";
  return [{ reason, fix }];
}

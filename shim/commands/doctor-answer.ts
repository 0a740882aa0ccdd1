import { checksOn } from "../config/checks.js";
import type { Hop, Mesh, Route } from "../config/model.js";
import type { AnswerSeen } from "../doctor/answer-seen.js";
import { ANSWER_CHECKS, REQUEST_CHECKS } from "../doctor/answer.js";
import { examine, type Result } from "../doctor/check.js";
import { duration, tokenFor } from "../doctor/token.js";
import { Failure } from "../errors.js";
import { matchHost } from "../explain/host-match.js";
import type { ProxyStatus } from "../kubernetes/proxies.js";
import { printable, shownUrl } from "../output/text.js";
import { request } from "../trace/client.js";
import { planOf, type RequestOptions } from "./trace-plan.js";

export type AnswerOptions = Pick<RequestOptions, "header" | "request" | "cacert" | "resolve" | "timeout"> & {
  readonly config: string;
};

export interface AnswerExamination {
  readonly results: readonly Result[];
  /** `GET https://kb.example.internal/ 401 token_expired`, and what the caller's token says. */
  readonly lines: readonly string[];
  readonly facts: object;
}

/** Sends one request, and says why it was not answered well. No token and no claim but those of the token's shape is shown. */
export async function examineAnswer(
  url: string,
  options: AnswerOptions,
  mesh: Mesh,
  proxies: readonly ProxyStatus[] | undefined,
  signal: AbortSignal,
): Promise<AnswerExamination> {
  const plan = await planOf(url, options);
  const method = plan.request.method ?? "GET";
  const about = `${method} ${shownUrl(url)}`;
  try {
    const { status, headers, body } = await request({ ...plan.request, signal });
    const route = routeOf(mesh, plan.host);
    const seen: AnswerSeen = {
      mesh,
      host: plan.host,
      requestHeaders: plan.headers,
      status,
      headers,
      body,
      route,
      callerChecks: route === undefined ? [] : entrance(mesh).flatMap((hop) => checksOn(mesh, hop, route)),
      proxies,
      nowMs: Date.now(),
    };
    const code = headers["x-hopgate-error"];
    const token = tokenLines(seen);
    return {
      results: [...examine(REQUEST_CHECKS, { host: plan.host, failure: undefined }), ...examine(ANSWER_CHECKS, seen)],
      lines: [`${about} ${String(status)}${code === undefined ? "" : ` ${code}`}`, ...token].map(printable),
      facts: {
        method,
        url: shownUrl(url),
        status,
        ...(code !== undefined && { error_code: code }),
        ...tokenFacts(seen),
      },
    };
  } catch (error) {
    if (signal.aborted || !(error instanceof Failure)) throw error;
    const results = [
      ...examine(REQUEST_CHECKS, { host: plan.host, failure: error.message }),
      ...examine(ANSWER_CHECKS, { skipped: "no answer came" }),
    ];
    return { results, lines: [`${about}: no answer`], facts: { method, url: shownUrl(url) } };
  }
}

/** Where requests from outside come in. */
function entrance(mesh: Mesh): readonly Hop[] {
  const gateways = [...mesh.hops.values()].filter(({ kind }) => kind === "gateway");
  return [gateways.find(({ edge }) => edge) ?? gateways[0]].filter((hop) => hop !== undefined);
}

function routeOf(mesh: Mesh, host: string): Route | undefined {
  const { pattern } = matchHost(
    host,
    mesh.routes.flatMap(({ hosts }) => hosts),
  );
  return pattern === null ? undefined : mesh.routes.find(({ hosts }) => hosts.includes(pattern));
}

/** The token that the caller sent, without anything that lets somebody call. */
function tokenOf({ callerChecks, requestHeaders }: AnswerSeen): ReturnType<typeof tokenFor> {
  return tokenFor(callerChecks[0]?.validator ?? { header: undefined }, requestHeaders);
}

function tokenLines(seen: AnswerSeen): readonly string[] {
  const token = tokenOf(seen);
  if (token === undefined) return [];
  const { header, issuer = "no issuer", audiences, expiresSec, hasEmail } = token;
  if (issuer === "no issuer" && token.fault !== undefined) return [`  token in ${header}: ${token.fault}`];
  const left = expiresSec === undefined ? undefined : expiresSec - Math.floor(seen.nowMs / 1000);
  const life =
    left === undefined ? "no expiry" : left > 0 ? `expires in ${duration(left)}` : `expired ${duration(-left)} ago`;
  const email = `${hasEmail ? "with" : "without"} an e-mail address`;
  return [`  token in ${header}: issuer ${issuer}, audience ${audiences.join(", ") || "none"}, ${life}, ${email}`];
}

function tokenFacts(seen: AnswerSeen): { readonly token?: object } {
  const token = tokenOf(seen);
  if (token === undefined) return {};
  const { header, fault, algorithm, issuer, audiences, expiresSec, hasEmail, isEmailVerified } = token;
  return {
    token: {
      header,
      ...(fault !== undefined && { fault }),
      ...(algorithm !== undefined && { algorithm }),
      ...(issuer !== undefined && { issuer }),
      audiences,
      ...(expiresSec !== undefined && { expires_at_sec: expiresSec }),
      has_email: hasEmail,
      email_verified: isEmailVerified,
    },
  };
}

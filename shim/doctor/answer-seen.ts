import type { Check as CallerCheck } from "../config/checks.js";
import type { CloudRunBackend, Mesh, Route } from "../config/model.js";
import type { ProxyStatus } from "../kubernetes/proxies.js";

/** A request, and what came back. */
export interface AnswerSeen {
  readonly mesh: Mesh;
  readonly host: string;
  /** Names in lower case. */
  readonly requestHeaders: readonly (readonly [name: string, value: string])[];
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The route of the file for the host; undefined: there is none. */
  readonly route: Route | undefined;
  /** Who checks callers on that route. */
  readonly callerChecks: readonly CallerCheck[];
  /** Of the cluster's proxies; undefined: they could not be asked. */
  readonly proxies: readonly ProxyStatus[] | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Who gave the answer, as far as it can be told. */
export type Answerer = "filter" | "policy" | "cloudRun" | "envoy" | "service";

export function answererOf({ headers, body, status }: AnswerSeen): Answerer {
  if (headers["x-hopgate-error"] !== undefined) return "filter";
  if (status === 403 && body.trim() === "RBAC: access denied") return "policy";
  if (isCloudRunPage(status, body)) return "cloudRun";
  return isEnvoys(status, body) ? "envoy" : "service";
}

/** The pages of Google's front end, whose `server` header Istio's gateways replace. */
function isCloudRunPage(status: number, body: string): boolean {
  const texts: Readonly<Record<number, RegExp>> = {
    401: /<title>401 Unauthorized<\/title>[^]*Your client does not have permission to the requested URL/,
    403: /<title>403 Forbidden<\/title>[^]*Your client does not have permission to get URL/,
    404: /<title>404 Page not found<\/title>[^]*The requested URL was not found on this server/,
  };
  return texts[status]?.test(body) ?? false;
}

/** Envoy says why it has no upstream, and says nothing where it has no route, or where a filter failed. */
function isEnvoys(status: number, body: string): boolean {
  if (body === "") return status === 404 || status === 500 || status === 503;
  return /^(?:no healthy upstream|upstream connect error|upstream request timeout)/.test(body);
}

/** The Cloud Run services that the route leads to. */
export function cloudRunBackends({ mesh, route }: AnswerSeen): readonly CloudRunBackend[] {
  return (route?.arms ?? []).flatMap(({ backend: name }) => {
    const backend = mesh.backends.get(name);
    return backend?.kind === "cloudRun" ? [backend] : [];
  });
}

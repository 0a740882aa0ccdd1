import { describe, expect, test } from "vitest";
import { parseMesh } from "../../../shim/config/parse.js";
import { UsageError } from "../../../shim/errors.js";
import { EXAMPLE } from "./example.js";
import { refusal, unmark } from "./problems.js";

/** The example with one of its parts written otherwise. */
function edited(from: string, to: string): string {
  if (EXAMPLE.split(from).length !== 2) throw new Error(`not exactly once in the example: ${from}`);
  return EXAMPLE.replace(from, () => to);
}

const CUSTOM_AUDIENCE =
  "write audience: URL with one of the service's custom audiences (gcloud run services update --add-custom-audiences)";
const HOST_FIX =
  "write the name alone, such as kb.example.internal or *.example.internal, without scheme, port or path";
const NAME_FIX = 'write 1 to 63 characters of a-z, 0-9 and "-"';
const ORIGIN_FIX =
  "write https:// and its host in lower case, such as https://kb-abc123-uc.a.run.app, without port, path or a / at the end";

/** What is wrong | part of the example | the same part as a user got it wrong, § where the problem is | what is said. */
type Row = readonly [what: string, from: string, to: string, said: string];

const FIELDS: readonly Row[] = [
  ["an unknown field", "port: 80", "§prot: 80, port: 80", 'backends.llm.kubernetes.prot: unknown field "prot"; did you mean port?'],
  ["an unknown field far from any", "edge: true", "edge: true, §colour: red", 'hops.ingress.colour: unknown field "colour"; the fields here are gateway, waypoint, edge, validate, unmatched, bypass'],
  ["a field in the wrong case", "sticky:", "§Sticky:", 'routes[3].Sticky: unknown field "Sticky"; did you mean sticky?'],
  ["a missing field", "{ service: vectordb, namespace: vectordb-ns, port: 6333 }", "§{ service: vectordb, namespace: vectordb-ns }", "backends.vectordb.kubernetes.port: this field is missing; write a whole number from 1 to 65535"],
  ["nothing behind a colon", "name: ai-platform", "name:§", `name: nothing is written here; ${NAME_FIX}`],
  ["a name with capitals", "name: ai-platform", "name: §AI", `name: "AI" is not a name; ${NAME_FIX}`],
  ["a name of 64 characters", "name: ai-platform", `name: §${"a".repeat(64)}`, `name: "${"a".repeat(64)}" is not a name; ${NAME_FIX}`],
  ["a number for a name", "name: ai-platform", "name: §5", `name: 5 is not a name; ${NAME_FIX}, in quotes`],
  ["text for a number", "port: 80", 'port: §"80"', 'backends.llm.kubernetes.port: "80" is not such a number; write a whole number from 1 to 65535, without quotes'],
  ["a number out of range", "port: 80", "port: §70000", "backends.llm.kubernetes.port: 70000 is not such a number; write a whole number from 1 to 65535"],
  ["a fraction", "port: 80", "port: §80.5", "backends.llm.kubernetes.port: 80.5 is not such a number; write a whole number from 1 to 65535"],
  ["YAML 1.1's yes", "edge: true", "edge: §yes", 'hops.ingress.edge: "yes" is not true or false; write true or false'],
  ["a word for a map", "{ service: llm-platform-api, namespace: llm-platform, port: 80 }", "§llm", 'backends.llm.kubernetes: "llm" is not a map; write one with the fields service, namespace, port'],
  ["a list for a map", "timing: {", "timing: §[ a, b ]\nidentity: {timeoutMs: 5}\n#{", "timing: what is written here is not a map; write one with the fields expose, key"],
  ["a map for a list", "hosts: [llm.ai-platform.example.internal]", "hosts: §{ a: b }", "routes[0].hosts: a map is not a list of host names with at least one entry; write [ENTRY, ...]"],
  ["an empty list", "hosts: [llm.ai-platform.example.internal]", "hosts: §[]", "routes[0].hosts: this list is empty; write [ENTRY, ...]"],
  ["a value of no list", "via: gcpBackend", "via: §gcp-backend", 'backends.kb.cloudRun.via: "gcp-backend" is not one of the values known here; did you mean gcpBackend?'],
  ["a value near none", "via: gcpBackend", "via: §magic", 'backends.kb.cloudRun.via: "magic" is not one of the values known here; write gcpBackend, serviceEntry or loadBalancer'],
  ["the name of a backend", "  vectordb: {", "  §vector_db: {", `backends.vector_db: "vector_db" is not a name; ${NAME_FIX}`],
  ["a url with a path", "url: https://kb-abc123-uc.a.run.app", "url: §https://kb-abc123-uc.a.run.app/x", `backends.kb.cloudRun.url: "https://kb-abc123-uc.a.run.app/x" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a url with a slash behind", "url: https://kb-abc123-uc.a.run.app", "url: §https://kb-abc123-uc.a.run.app/", `backends.kb.cloudRun.url: "https://kb-abc123-uc.a.run.app/" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a url with a port", "url: https://kb-abc123-uc.a.run.app", "url: §https://kb.a.run.app:8443", `backends.kb.cloudRun.url: "https://kb.a.run.app:8443" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a url without TLS", "url: https://kb-abc123-uc.a.run.app", "url: §http://kb.a.run.app", `backends.kb.cloudRun.url: "http://kb.a.run.app" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a url with a user", "url: https://kb-abc123-uc.a.run.app", "url: §https://me@kb.a.run.app", `backends.kb.cloudRun.url: "https://me@kb.a.run.app" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a url that is an address", "url: https://kb-abc123-uc.a.run.app", "url: §https://10.0.0.1", `backends.kb.cloudRun.url: "https://10.0.0.1" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`],
  ["a host with a port", "[llm.ai-platform.example.internal]", "[§llm.example.internal:443]", `routes[0].hosts[0]: "llm.example.internal:443" is not a host name; ${HOST_FIX}`],
  ["a catch-all", "[llm.ai-platform.example.internal]", '[§"*"]', `routes[0].hosts[0]: "*" is not a host name; ${HOST_FIX}`],
  ["a wildcard inside", "[llm.ai-platform.example.internal]", "[§llm.*.internal]", `routes[0].hosts[0]: "llm.*.internal" is not a host name; ${HOST_FIX}`],
  ["an empty label", "[llm.ai-platform.example.internal]", "[§llm..internal]", `routes[0].hosts[0]: "llm..internal" is not a host name; ${HOST_FIX}`],
  ["an address for a host", "[llm.ai-platform.example.internal]", "[§10.0.0.1]", `routes[0].hosts[0]: "10.0.0.1" is not a host name; ${HOST_FIX}`],
  ["a host that is too long", "[llm.ai-platform.example.internal]", `[§${"a.".repeat(126)}aa]`, `routes[0].hosts[0]: "${"a.".repeat(40)}..." is not a host name; ${HOST_FIX}`],
  ["a header with a space", "sticky: x-session-id", 'sticky: §"x session"', 'routes[3].sticky: "x session" is not the name of a header; write 1 to 128 letters, digits, "-", "_" and ".", such as x-session-id'],
  ["a share of nothing", "{ agents: 10, llm: 90 }", "{ agents: §0, llm: 100 }", "routes[3].split.agents: 0 is not such a number; write a whole number from 1 to 100"],
  ["a reason without words", "to: llm }", 'to: llm, open: §"..." }', 'routes[0].open: "..." is not a reason; write in words why callers need not be checked here, such as "callers are checked by AuthorizationPolicy kb"'],
  ["no address", "emails: [orchestrator@my-project.iam.gserviceaccount.com]", "emails: [§orchestrator]", 'validators.google.emails[0]: "orchestrator" is not an e-mail address; write the caller\'s address, or "*" alone to allow any caller'],
  ["a bypass with a query", "edge: true", "edge: true, bypass: [{path: §/healthz?x}]", 'hops.ingress.bypass[0].path: "/healthz?x" is not a path; write it from the first / on, without query and fragment'],
  ["a wildcard in a bypass", "edge: true", 'edge: true, bypass: [{path: /x, hosts: [§"*.x.internal"]}]', 'hops.ingress.bypass[0].hosts[0]: "*.x.internal" is not a host name; write the name alone, such as kb.example.internal, without scheme, port or path'],
  ["a number for a label", "{ istio: ingressgateway }", "{ istio: §1 }", "hops.ingress.gateway.selector.istio: 1 is not the value of a label; write at most 63 characters, such as ingressgateway, in quotes"],
  ["a key, without repeating it", "key: change-me", 'key: §"hunter2\\t"', "timing.key: what is written here is not a key; write 1 to 256 printable ASCII characters, with no space at either end"],
  ["an empty key", "key: change-me", 'key: §""', "timing.key: what is written here is not a key; write 1 to 256 printable ASCII characters, with no space at either end"],
];

const RULES: readonly Row[] = [
  ["a backend of no kind", "llm:      { kubernetes: { service: llm-platform-api, namespace: llm-platform, port: 80 } }", "llm: §{}", "backends.llm: this backend is neither a service of the cluster nor one on Cloud Run; write kubernetes: {service, namespace, port} or cloudRun: {url, via}"],
  ["a backend of both kinds", "llm:      { kubernetes", "llm: §{ cloudRun: { url: https://x.a.run.app, via: serviceEntry }, kubernetes", "backends.llm: this backend has both kubernetes and cloudRun; keep one, and make a second backend of the other"],
  ["a load balancer without a host", "host: agents.ai-platform.example.internal, ", "", "backends.agents.cloudRun.host: `via: loadBalancer` needs the host name of the load balancer; write host: NAME"],
  ["a load balancer without an audience", ", audience: https://agents.ai-platform.example.internal", "", `backends.agents.cloudRun.audience: \`via: loadBalancer\` needs an audience: Cloud Run answers 401 to a custom host without a custom audience; ${CUSTOM_AUDIENCE}`],
  ["a host without a load balancer", "via: gcpBackend", "via: gcpBackend, host: §kb.internal", "backends.kb.cloudRun.host: `host` is the load balancer's, and requests leave via gcpBackend; leave it out, or write via: loadBalancer"],
  ["a custom domain without an audience", "cloudRun: { url: https://kb-abc123-uc.a.run.app", "cloudRun: §{ url: https://kb.example.com", `backends.kb.cloudRun.audience: this host is not under run.app: Cloud Run answers 401 to a custom host without a custom audience; ${CUSTOM_AUDIENCE}`],
  ["through no hop", "through: agents", "through: §agnets", 'backends.reports.through: there is no hop "agnets"; did you mean agents?'],
  ["through a gateway", "through: agents", "through: §ingress", 'backends.reports.through: hop "ingress" is a gateway, and `through` is for waypoints; write agents, or leave `through` out: then the gateway adds the token'],
  ["one service with and without a waypoint", "  reports:", "  twin: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry } }\n  reports:", "backends.reports: a waypoint cannot tell two backends of one service apart, and reports-abc123-uc.a.run.app is also backend twin (line 6); keep one of the two backends, or leave `through` out of both"],
  ["one service twice through a waypoint", "vectordb: { kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6333 } }", "vectordb: { kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6333 }, through: agents }\n  grpc: §{ kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6334 }, through: agents }", "backends.grpc: a waypoint cannot tell two backends of one service apart, and vectordb.vectordb-ns.svc.cluster.local is also backend vectordb (line 4); keep one of the two backends, or leave `through` out of both"],
  ["a route to nowhere", "{ hosts: [llm.ai-platform.example.internal], to: llm }", "§{ hosts: [llm.ai-platform.example.internal] }", "routes[0]: this route goes nowhere; write to: BACKEND, or split: {BACKEND: 10, BACKEND: 90}"],
  ["a route with two ways", "{ hosts: [llm.ai-platform.example.internal], to: llm }", "§{ hosts: [llm.ai-platform.example.internal], to: llm, split: { llm: 100 } }", "routes[0]: this route has both `to` and `split`; keep one of the two"],
  ["shares below 100", "split: { agents: 10, llm: 90 }", "split: §{ agents: 10, llm: 80 }", "routes[3].split: the shares sum to 90; write shares that sum to 100"],
  ["an empty split", "split: { agents: 10, llm: 90 }", "split: §{}", "routes[3].split: the shares sum to 0; write shares that sum to 100"],
  ["a route to no backend", "to: llm }", "to: §lmm }", 'routes[0].to: there is no backend "lmm"; did you mean llm?'],
  ["a route to a backend unlike any", "to: llm }", "to: §constructor }", 'routes[0].to: there is no backend "constructor"; write one of llm, vectordb, kb, reports, agents, or define it under backends'],
  ["a share for no backend", "{ agents: 10, llm: 90 }", "{ agents: 10, lm: §90 }", 'routes[3].split.lm: there is no backend "lm"; did you mean llm?'],
  ["a host twice, after normalisation", "[vectors.ai-platform.example.internal]", "[vectors.ai-platform.example.internal, §LLM.AI-platform.example.internal.]", 'routes[1].hosts[1]: "LLM.AI-platform.example.internal." is the same host name as routes[0].hosts[0] (line 11); list it in one route, once'],
  ["an unknown validator of a route", "to: kb, validate: google", "to: kb, validate: §goggle", 'routes[2].validate: there is no validator "goggle"; did you mean google?'],
  ["an unknown validator of a hop", "name: waypoint }, validate: google", "name: waypoint }, validate: §me", 'hops.agents.validate: there is no validator "me"; write one of google, or define it under validators'],
  ["open beside validate", "to: kb, validate: google", "to: kb, validate: google, open: §it is fine", "routes[2].open: this route has `validate`, so its callers are checked, and `open`, which says why they are not; keep one of the two"],
  ["an open door at the edge", "{ hosts: [kb.ai-platform.example.internal], to: kb, validate: google }", "§{ hosts: [kb.ai-platform.example.internal], to: kb }", 'routes[2]: hop ingress is an edge and adds an ID token for backend kb, but nothing checks the callers: whoever reaches ingress would use its identity; write validate: VALIDATOR, or open: "why callers need not be checked here"'],
  ["a hop of no kind", "agents:  { waypoint: { namespace: agents, name: waypoint }, validate: google }", "agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }\n  other: §{ edge: true, validate: google }", "hops.other: this hop is neither a gateway nor a waypoint; write gateway: {namespace, selector} or waypoint: {namespace, name}"],
  ["a hop of both kinds", "ingress: { gateway", "ingress: §{ waypoint: { namespace: a, name: b }, gateway", "hops.ingress: this hop is both a gateway and a waypoint; keep one, and make a second hop of the other"],
  ["a selector of everything", "{ istio: ingressgateway }", "§{}", "hops.ingress.gateway.selector: a selector without labels selects every Pod of the namespace; write the labels of the gateway's Pods, such as {istio: ingressgateway}"],
  ["one gateway as two hops", "  agents:  { waypoint", "  again: §{ gateway: { namespace: istio-ingress, selector: { istio: ingressgateway, app: x } } }\n  agents:  { waypoint", "hops.again: the filter would run, and add tokens, twice in one proxy, which is also hop ingress (line 16); keep one of the two, or write another namespace, name or selector"],
  ["one waypoint as two hops", "  agents:  { waypoint", "  again: { waypoint: { namespace: agents, name: waypoint } }\n  agents:  §{ waypoint", "hops.agents: the filter would run, and add tokens, twice in one proxy, which is also hop again (line 17); keep one of the two, or write another namespace, name or selector"],
  ["anybody among others", "emails: [orchestrator@my-project.iam.gserviceaccount.com]", 'emails: [a@b.c, §"*"]', 'validators.google.emails[1]: "*" allows any caller, so the other addresses mean nothing; leave "*" out, or write emails: ["*"]'],
  ["a trace without a key", "{ expose: trace, key: change-me }", "§{ expose: trace }", "timing.key: `expose: trace` needs a key: without one no request matches; write key: SECRET, or expose: never"],
  ["impersonating nobody", "timing:", "identity: §{ mode: impersonate }\ntiming:", "identity.serviceAccount: `mode: impersonate` needs a service account; write serviceAccount: NAME@PROJECT.iam.gserviceaccount.com"],
  ["a service account for nothing", "timing:", "identity: { serviceAccount: §a@b.iam.gserviceaccount.com }\ntiming:", "identity.serviceAccount: `serviceAccount` is used only with `mode: impersonate`; write mode: impersonate, or leave serviceAccount out"],
];

function place(to: string, from: string): { text: string; place: string } {
  const marked = edited(from, to);
  if (marked.includes("§")) return unmark(marked);
  // The problem is what was taken out: it is shown at the map that lacks it.
  const backend = "agents:   { cloudRun: §{";
  return unmark(marked.replace("agents:   { cloudRun: {", backend).replace("  reports:  {", "  reports:  §{"));
}

describe("a field that is wrong is refused where it stands:", () => {
  test.each(FIELDS)("%s", (_, from, to, said) => {
    const { text, place } = unmark(edited(from, to));
    expect(refusal(text).message).toBe(`${place}: ${said}`);
  });
});

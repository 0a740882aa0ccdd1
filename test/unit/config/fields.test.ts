import { expect, test } from "vitest";
import { edited, refusal, type Row, unmark } from "./problems.js";

const HOST_FIX =
  "write the name alone, such as kb.example.internal or *.example.internal, without scheme, port or path";
const NAME_FIX = 'write 1 to 63 characters of a-z, 0-9 and "-"';
const ORIGIN_FIX =
  "write https:// and its host in lower case, such as https://kb-abc123-uc.a.run.app, without port, path or a / at the end";

const ROWS: readonly Row[] = [
  [
    "an unknown field",
    "port: 80",
    "§prot: 80, port: 80",
    'backends.llm.kubernetes.prot: unknown field "prot"; did you mean port?',
  ],
  [
    "an unknown field far from any",
    "edge: true",
    "edge: true, §colour: red",
    'hops.ingress.colour: unknown field "colour"; the fields here are gateway, waypoint, edge, validate, unmatched, bypass, callers',
  ],
  [
    "a field in the wrong case",
    "sticky:",
    "§Sticky:",
    'routes[3].Sticky: unknown field "Sticky"; did you mean sticky?',
  ],
  [
    "a missing field",
    "{ service: vectordb, namespace: vectordb-ns, port: 6333 }",
    "§{ service: vectordb, namespace: vectordb-ns }",
    "backends.vectordb.kubernetes.port: this field is missing; write a whole number from 1 to 65535",
  ],
  ["nothing behind a colon", "name: ai-platform", "name:§", `name: nothing is written here; ${NAME_FIX}`],
  ["a name with capitals", "name: ai-platform", "name: §AI", `name: "AI" is not a name; ${NAME_FIX}`],
  [
    "a name of 64 characters",
    "name: ai-platform",
    `name: §${"a".repeat(64)}`,
    `name: "${"a".repeat(64)}" is not a name; ${NAME_FIX}`,
  ],
  ["a number for a name", "name: ai-platform", "name: §5", `name: 5 is not a name; ${NAME_FIX}, in quotes`],
  [
    "text for a number",
    "port: 80",
    'port: §"80"',
    'backends.llm.kubernetes.port: "80" is not valid here; write a whole number from 1 to 65535, without quotes',
  ],
  [
    "a number out of range",
    "port: 80",
    "port: §70000",
    "backends.llm.kubernetes.port: 70000 is not valid here; write a whole number from 1 to 65535",
  ],
  [
    "a fraction",
    "port: 80",
    "port: §80.5",
    "backends.llm.kubernetes.port: 80.5 is not valid here; write a whole number from 1 to 65535",
  ],
  ["YAML 1.1's yes", "edge: true", "edge: §yes", 'hops.ingress.edge: "yes" is not true or false; write true or false'],
  [
    "a word for a map",
    "{ service: llm-platform-api, namespace: llm-platform, port: 80 }",
    "§llm",
    'backends.llm.kubernetes: "llm" is not a map; write one with the fields service, namespace, port',
  ],
  [
    "a list for a map",
    "timing: {",
    "timing: §[ a, b ]\nidentity: {timeoutMs: 5}\n#{",
    "timing: what is written here is not a map; write one with the fields expose, key",
  ],
  [
    "a map for a list",
    "hosts: [llm.ai-platform.example.internal]",
    "hosts: §{ a: b }",
    "routes[0].hosts: a map is not a list of host names with at least one entry; write [ENTRY, ...]",
  ],
  [
    "an empty list",
    "hosts: [llm.ai-platform.example.internal]",
    "hosts: §[]",
    "routes[0].hosts: this list is empty; write [ENTRY, ...]",
  ],
  [
    "a value of no list",
    "via: gcpBackend",
    "via: §gcp-backend",
    'backends.kb.cloudRun.via: "gcp-backend" is not valid here; did you mean gcpBackend?',
  ],
  [
    "a value near none",
    "via: gcpBackend",
    "via: §magic",
    'backends.kb.cloudRun.via: "magic" is not valid here; write gcpBackend, serviceEntry or loadBalancer',
  ],
  ["the name of a backend", "  reports:  {", "  §Reports: {", `backends.Reports: "Reports" is not a name; ${NAME_FIX}`],
  [
    "a url with a path",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §https://kb-abc123-uc.a.run.app/x",
    `backends.kb.cloudRun.url: "https://kb-abc123-uc.a.run.app/x" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a url with a slash behind",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §https://kb-abc123-uc.a.run.app/",
    `backends.kb.cloudRun.url: "https://kb-abc123-uc.a.run.app/" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a url with a port",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §https://kb.a.run.app:8443",
    `backends.kb.cloudRun.url: "https://kb.a.run.app:8443" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a url without TLS",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §http://kb.a.run.app",
    `backends.kb.cloudRun.url: "http://kb.a.run.app" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a url with a user",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §https://me@kb.a.run.app",
    `backends.kb.cloudRun.url: "https://kb.a.run.app/" (shown without userinfo and query) is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a url that is an address",
    "url: https://kb-abc123-uc.a.run.app",
    "url: §https://10.0.0.1",
    `backends.kb.cloudRun.url: "https://10.0.0.1" is not the origin of a Cloud Run service; ${ORIGIN_FIX}`,
  ],
  [
    "a host with a port",
    "[llm.ai-platform.example.internal]",
    "[§llm.example.internal:443]",
    `routes[0].hosts[0]: "llm.example.internal:443" is not a host name; ${HOST_FIX}`,
  ],
  [
    "a catch-all",
    "[llm.ai-platform.example.internal]",
    '[§"*"]',
    `routes[0].hosts[0]: "*" is not a host name; ${HOST_FIX}`,
  ],
  [
    "a wildcard inside",
    "[llm.ai-platform.example.internal]",
    "[§llm.*.internal]",
    `routes[0].hosts[0]: "llm.*.internal" is not a host name; ${HOST_FIX}`,
  ],
  [
    "an empty label",
    "[llm.ai-platform.example.internal]",
    "[§llm..internal]",
    `routes[0].hosts[0]: "llm..internal" is not a host name; ${HOST_FIX}`,
  ],
  [
    "an address for a host",
    "[llm.ai-platform.example.internal]",
    "[§10.0.0.1]",
    `routes[0].hosts[0]: "10.0.0.1" is not a host name; ${HOST_FIX}`,
  ],
  [
    "a host that is too long",
    "[llm.ai-platform.example.internal]",
    `[§${"a.".repeat(126)}aa]`,
    `routes[0].hosts[0]: "${"a.".repeat(40)}..." is not a host name; ${HOST_FIX}`,
  ],
  [
    "a header with a space",
    "sticky: x-session-id",
    'sticky: §"x session"',
    'routes[3].sticky: "x session" is not the name of a header; write 1 to 128 letters, digits, "-", "_" and ".", such as x-session-id',
  ],
  [
    "a share of nothing",
    "{ agents: 10, llm: 90 }",
    "{ agents: §0, llm: 100 }",
    "routes[3].split.agents: 0 is not valid here; write a whole number from 1 to 100",
  ],
  [
    "a reason without words",
    "to: llm }",
    'to: llm, open: §"..." }',
    'routes[0].open: "..." is not a reason; write in words why callers need not be checked here, such as "callers are checked by AuthorizationPolicy kb"',
  ],
  [
    "no address",
    "emails: [orchestrator@my-project.iam.gserviceaccount.com]",
    "emails: [§orchestrator]",
    'validators.google.emails[0]: "orchestrator" is not an e-mail address; write the caller\'s address, or "*" alone to allow any caller',
  ],
  [
    "a bypass with a query",
    "edge: true",
    "edge: true, bypass: [{path: §/healthz?x}]",
    'hops.ingress.bypass[0].path: "/healthz" (shown without userinfo and query) is not a path; write it from the first / on, without query and fragment',
  ],
  [
    "a wildcard in a bypass",
    "edge: true",
    'edge: true, bypass: [{path: /x, hosts: [§"*.x.internal"]}]',
    'hops.ingress.bypass[0].hosts[0]: "*.x.internal" is not a host name; write the name alone, such as kb.example.internal, without scheme, port or path',
  ],
  [
    "a number for a label",
    "{ istio: ingressgateway }",
    "{ istio: §1 }",
    "hops.ingress.gateway.selector.istio: 1 is not the value of a label; write at most 63 characters, such as ingressgateway, in quotes",
  ],
  [
    "a key, without repeating it",
    "key: change-me",
    'key: §"hunter2\\t"',
    "timing.key: what is written here is not a key; write 1 to 256 printable ASCII characters, with no space at either end",
  ],
  [
    "an empty key",
    "key: change-me",
    'key: §""',
    "timing.key: what is written here is not a key; write 1 to 256 printable ASCII characters, with no space at either end",
  ],
];

test.each(ROWS)("refuses %s, and points at it", (_, from, to, said) => {
  const { text, place } = unmark(edited(from, to));
  expect(refusal(text).message).toBe(`${place}: ${said}`);
});

import { expect, test } from "vitest";
import { edited, refusal, type Row, unmark } from "./problems.js";

const CUSTOM_AUDIENCE =
  "write audience: URL with one of the service's custom audiences (gcloud run services update --add-custom-audiences)";
const ROWS: readonly Row[] = [
  [
    "a backend of no kind",
    "llm:      { kubernetes: { service: llm-platform-api, namespace: llm-platform, port: 80 } }",
    "llm: §{}",
    "backends.llm: this backend is neither a service of the cluster nor one on Cloud Run; write kubernetes: {service, namespace, port} or cloudRun: {url, via}",
  ],
  [
    "a backend of both kinds",
    "  reports:  { cloudRun",
    "  reports:  §{ kubernetes: { service: a, namespace: b, port: 1 }, cloudRun",
    "backends.reports: this backend has both kubernetes and cloudRun; keep one, and make a second backend of the other",
  ],
  [
    "a load balancer without a host",
    "cloudRun: { url: https://agents-abc123-uc.a.run.app, via: loadBalancer,\n                          host: agents.ai-platform.example.internal, ",
    "cloudRun: §{ url: https://agents-abc123-uc.a.run.app, via: loadBalancer, ",
    "backends.agents.cloudRun.host: `via: loadBalancer` needs the host name of the load balancer; write host: NAME",
  ],
  [
    "a load balancer without an audience",
    "cloudRun: { url: https://agents-abc123-uc.a.run.app, via: loadBalancer,\n                          host: agents.ai-platform.example.internal, audience: https://agents.ai-platform.example.internal }",
    "cloudRun: §{ url: https://agents-abc123-uc.a.run.app, via: loadBalancer,\n                          host: agents.ai-platform.example.internal }",
    `backends.agents.cloudRun.audience: \`via: loadBalancer\` needs an audience: Cloud Run answers 401 to a custom host without a custom audience; ${CUSTOM_AUDIENCE}`,
  ],
  [
    "a host without a load balancer",
    "via: gcpBackend",
    "via: gcpBackend, host: §kb.internal",
    "backends.kb.cloudRun.host: `host` is the load balancer's, and requests leave via gcpBackend; leave it out, or write via: loadBalancer",
  ],
  [
    "a custom domain without an audience",
    "cloudRun: { url: https://kb-abc123-uc.a.run.app",
    "cloudRun: §{ url: https://kb.example.com",
    `backends.kb.cloudRun.audience: this host is not under run.app: Cloud Run answers 401 to a custom host without a custom audience; ${CUSTOM_AUDIENCE}`,
  ],
  [
    "through no hop",
    "through: agents",
    "through: §agnets",
    'backends.reports.through: there is no hop "agnets"; did you mean agents?',
  ],
  [
    "through a gateway",
    "through: agents",
    "through: §ingress",
    'backends.reports.through: hop "ingress" is a gateway, and `through` is for waypoints; write agents, or leave `through` out: then the gateway adds the token',
  ],
  [
    "one service with and without a waypoint",
    "  reports:  {",
    "  twin: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry } }\n  reports:  §{",
    "backends.reports: a waypoint cannot tell two backends of one service apart, and reports-abc123-uc.a.run.app is also backend twin (line 6); keep one of the two backends, or leave `through` out of both",
  ],
  [
    "one service twice through a waypoint",
    "vectordb: { kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6333 } }",
    "vectordb: { kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6333 }, through: agents }\n  grpc: §{ kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6334 }, through: agents }",
    "backends.grpc: a waypoint cannot tell two backends of one service apart, and vectordb.vectordb-ns.svc.cluster.local is also backend vectordb (line 4); keep one of the two backends, or leave `through` out of both",
  ],
  [
    "a route to nowhere",
    "{ hosts: [llm.ai-platform.example.internal], to: llm }",
    "§{ hosts: [llm.ai-platform.example.internal] }",
    "routes[0]: this route goes nowhere; write to: BACKEND, or split: {BACKEND: 10, BACKEND: 90}",
  ],
  [
    "a route with two ways",
    "{ hosts: [llm.ai-platform.example.internal], to: llm }",
    "§{ hosts: [llm.ai-platform.example.internal], to: llm, split: { llm: 100 } }",
    "routes[0]: this route has both `to` and `split`; keep one of the two",
  ],
  [
    "shares below 100",
    "split: { agents: 10, llm: 90 }",
    "split: §{ agents: 10, llm: 80 }",
    "routes[3].split: the shares sum to 90; write shares that sum to 100",
  ],
  [
    "an empty split",
    "split: { agents: 10, llm: 90 }",
    "split: §{}",
    "routes[3].split: the shares sum to 0; write shares that sum to 100",
  ],
  ["a route to no backend", "to: llm }", "to: §lmm }", 'routes[0].to: there is no backend "lmm"; did you mean llm?'],
  [
    "a route to a backend unlike any",
    "to: llm }",
    "to: §constructor }",
    'routes[0].to: there is no backend "constructor"; write one of llm, vectordb, kb, reports, agents, or define it under backends',
  ],
  [
    "a share for no backend",
    "{ agents: 10, llm: 90 }",
    "{ agents: 10, lm: §90 }",
    'routes[3].split.lm: there is no backend "lm"; did you mean llm?',
  ],
  [
    "a host twice, after normalisation",
    "[vectors.ai-platform.example.internal]",
    "[vectors.ai-platform.example.internal, §LLM.AI-platform.example.internal.]",
    'routes[1].hosts[1]: "LLM.AI-platform.example.internal." is the same host name as routes[0].hosts[0] (line 12); list it in one route, once',
  ],
  [
    "an unknown validator of a route",
    "to: kb, validate: google",
    "to: kb, validate: §goggle",
    'routes[2].validate: there is no validator "goggle"; did you mean google?',
  ],
  [
    "an unknown validator of a hop",
    "name: waypoint }, validate: google",
    "name: waypoint }, validate: §me",
    'hops.agents.validate: there is no validator "me"; write one of google, or define it under validators',
  ],
  [
    "open beside validate",
    "to: kb, validate: google",
    "to: kb, validate: google, open: §it is fine",
    "routes[2].open: this route has `validate`, so its callers are checked, and `open`, which says why they are not; keep one of the two",
  ],
  [
    "an open door at the edge",
    "{ hosts: [kb.ai-platform.example.internal], to: kb, validate: google }",
    "§{ hosts: [kb.ai-platform.example.internal], to: kb }",
    'routes[2]: hop ingress is an edge and adds an ID token for backend kb, but nothing checks the callers: whoever reaches ingress would use its identity; write validate: VALIDATOR, or open: "why callers need not be checked here"',
  ],
  [
    "a hop of no kind",
    "agents:  { waypoint: { namespace: agents, name: waypoint }, validate: google }",
    "agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }\n  other: §{ edge: true, validate: google }",
    "hops.other: this hop is neither a gateway nor a waypoint; write gateway: {namespace, selector} or waypoint: {namespace, name}",
  ],
  [
    "a hop of both kinds",
    "ingress: { gateway",
    "ingress: §{ waypoint: { namespace: a, name: b }, gateway",
    "hops.ingress: this hop is both a gateway and a waypoint; keep one, and make a second hop of the other",
  ],
  [
    "a selector of everything",
    "{ istio: ingressgateway }",
    "§{}",
    "hops.ingress.gateway.selector: a selector without labels selects every Pod of the namespace; write the labels of the gateway's Pods, such as {istio: ingressgateway}",
  ],
  [
    "a gateway that nothing selects",
    "{ namespace: istio-ingress, selector: { istio: ingressgateway } }",
    "§{ namespace: istio-ingress }",
    "hops.ingress.gateway: this gateway has neither `selector` nor `name`; write selector: {istio: ingressgateway}, or name: NAME of a Gateway resource",
  ],
  [
    "a gateway that is selected twice",
    "selector: { istio: ingressgateway } }",
    "selector: { istio: ingressgateway }, name: §public }",
    "hops.ingress.gateway.name: this gateway has both `selector` and `name`; keep one of the two",
  ],
  [
    "a certificate without TLS",
    "selector: { istio: ingressgateway } }",
    "selector: { istio: ingressgateway }, tls: false, secret: §public }",
    "hops.ingress.gateway.secret: `secret` is for TLS, which this gateway does not speak; leave one of the two out",
  ],
  [
    "callers of a gateway",
    "selector: { istio: ingressgateway } }",
    "selector: { istio: ingressgateway } }, callers: §[web]",
    "hops.ingress.callers: `callers` is for waypoints: a gateway's callers have no identity here; leave it out, and check the callers with `validate`",
  ],
  [
    "one Gateway resource as two hops",
    "  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }",
    "  ingress: { gateway: { namespace: istio-ingress, name: public }, edge: true }\n  again: §{ gateway: { namespace: istio-ingress, name: public } }",
    "hops.again: the filter would run, and add tokens, twice in one proxy, which is also hop ingress (line 17); keep one of the two, or write another namespace, name or selector",
  ],
  [
    "one gateway as two hops",
    "  agents:  { waypoint",
    "  again: §{ gateway: { namespace: istio-ingress, selector: { istio: ingressgateway, app: x } } }\n  agents:  { waypoint",
    "hops.again: the filter would run, and add tokens, twice in one proxy, which is also hop ingress (line 17); keep one of the two, or write another namespace, name or selector",
  ],
  [
    "one waypoint as two hops",
    "  agents:  { waypoint",
    "  again: { waypoint: { namespace: agents, name: waypoint } }\n  agents:  §{ waypoint",
    "hops.agents: the filter would run, and add tokens, twice in one proxy, which is also hop again (line 18); keep one of the two, or write another namespace, name or selector",
  ],
  [
    "anybody among others",
    "emails: [orchestrator@my-project.iam.gserviceaccount.com]",
    'emails: [a@b.c, §"*"]',
    'validators.google.emails[1]: "*" allows any caller, so the other addresses mean nothing; leave "*" out, or write emails: ["*"]',
  ],
  [
    "a trace without a key",
    "{ expose: trace, key: change-me }",
    "§{ expose: trace }",
    "timing.key: `expose: trace` needs a key: without one no request matches; write key: SECRET, or expose: never",
  ],
  [
    "impersonating nobody",
    "timing:",
    "identity: §{ mode: impersonate }\ntiming:",
    "identity.serviceAccount: `mode: impersonate` needs a service account; write serviceAccount: NAME@PROJECT.iam.gserviceaccount.com",
  ],
  [
    "a service account for nothing",
    "timing:",
    "identity: { serviceAccount: §a@b.iam.gserviceaccount.com }\ntiming:",
    "identity.serviceAccount: `serviceAccount` is used only with `mode: impersonate`; write mode: impersonate, or leave serviceAccount out",
  ],
];

test.each(ROWS)("refuses %s, and points at it", (_, from, to, said) => {
  const { text, place } = unmark(edited(from, to));
  expect(refusal(text).message).toBe(`${place}: ${said}`);
});

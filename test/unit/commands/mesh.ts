/** A hopgate.yaml with a route of every kind that the commands tell apart. */
export const MESH = `name: sample
backends:
  llm: { kubernetes: { service: llm, namespace: llm-ns, port: 80 } }
  kb: { cloudRun: { url: https://kb-abc123-uc.a.run.app, via: serviceEntry } }
  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
routes:
  - { hosts: [llm.example.internal], to: llm }
  - { hosts: [kb.example.internal], to: kb, open: callers are checked elsewhere }
  - { hosts: [reports.example.internal], to: reports, open: callers are checked elsewhere }
  - { hosts: ["*.agents.example.internal"], split: { kb: 10, llm: 90 }, sticky: x-session-id, open: a trial }
  - { hosts: ["*.eu.agents.example.internal"], to: llm }
hops:
  ingress:
    gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }
    edge: true
    bypass: [{ path: /healthz/ready }]
  inner:
    gateway: { namespace: istio-inner, selector: { istio: inner } }
    unmatched: reject
  agents: { waypoint: { namespace: agents, name: waypoint } }
timing: { expose: trace, key: sample-key }
`;

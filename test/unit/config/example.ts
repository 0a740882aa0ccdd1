/** A whole hopgate.yaml that uses every kind of backend, route and hop. */
export const EXAMPLE = `name: ai-platform
backends:
  llm:      { kubernetes: { service: llm-platform-api, namespace: llm-platform, port: 80 } }
  vectordb: { kubernetes: { service: vectordb, namespace: vectordb-ns, port: 6333 } }
  kb:       { cloudRun: { url: https://kb-abc123-uc.a.run.app, region: us-central1, via: gcpBackend } }
  reports:  { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
  agents:   { cloudRun: { url: https://agents-abc123-uc.a.run.app, via: loadBalancer,
                          host: agents.ai-platform.example.internal, audience: https://agents.ai-platform.example.internal } }
validators:
  google:   { audiences: [https://ai-platform.example.internal], emails: [orchestrator@my-project.iam.gserviceaccount.com] }
routes:
  - { hosts: [llm.ai-platform.example.internal], to: llm }
  - { hosts: [vectors.ai-platform.example.internal], to: vectordb }
  - { hosts: [kb.ai-platform.example.internal], to: kb, validate: google }
  - { hosts: ["*.agents.ai-platform.example.internal"], split: { agents: 10, llm: 90 }, sticky: x-session-id, validate: google }
hops:
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents:  { waypoint: { namespace: agents, name: waypoint }, validate: google }
timing: { expose: trace, key: change-me }
`;

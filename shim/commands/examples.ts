/** What the help of each command shows behind its options. */

export const UP_EXAMPLES = `
Examples:
  $ hopgate up --once                                    the shipped example: routes, waterfalls, a comparison, exit
  $ hopgate up -c mesh.yaml -p 8443                      your own, until Ctrl-C
  $ hopgate up --backend llm=http://localhost:11434      with your Ollama behind the route to llm
  $ hopgate up --once -o json | jq '.demonstrations[].trace.segments'`;

export const CHECK_EXAMPLES = `
Examples:
  $ hopgate check                              ./hopgate.yaml: the schema, the rules, and what each hop's filter says
  $ hopgate check staging.yaml prod.yaml       several files; exit 2 if anything is wrong with any of them
  $ hopgate check -o json | jq -r '.files[].problems[] | "\\(.line): \\(.message)"'

Nothing is sent anywhere.`;

export const INIT_EXAMPLES = `
Examples:
  $ hopgate init                               ./hopgate.yaml, from the shipped example
  $ hopgate init deploy/mesh.yaml --force      another file, also if it is there already
  $ hopgate init - | less                      to stdout

Its first line names the JSON Schema for editors that know yaml-language-server, in the project's
node_modules/hopgate: install hopgate in the project (npm install --save-dev) for that.`;

export const EXPLAIN_EXAMPLES = `
Examples:
  $ hopgate explain https://kb.ai-platform.example.internal/v1/ask
  $ hopgate explain https://kb.ai-platform.example.internal/ -H @caller.headers               what becomes of this caller
  $ hopgate explain http://reports-abc123-uc.a.run.app/ --hop agents                          as called inside the mesh
  $ hopgate explain https://kb.ai-platform.example.internal/ -o json | jq '.token.audience'

The filter itself answers, in an emulator; nothing is sent, and no real token is fetched. Where callers are checked and no token is
given, the answer is that to a caller who is let in, and beside it that to one without a token (.caller.without_token of -o json).
A token that is given is judged as it is, but for its signature: nobody here has the issuer's keys. @FILE has a header on each
line. Exit 0 also where the answer is that a hop refuses the request: see .reply of -o json.`;

export const TRACE_EXAMPLES = `
Examples:
  $ hopgate trace https://llm.ai-platform.example.internal/healthz --key change-me
  $ hopgate trace https://llm.ai-platform.example.internal/v1/models -n 100 --har trace.har   p50 and p95, and an archive
  $ hopgate trace https://llm.ai-platform.example.internal/v1/chat/completions \\
      -d '{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}'
  $ hopgate trace https://llm.ai-platform.example.internal:8443/healthz --cacert ca.pem \\
      --resolve llm.ai-platform.example.internal:8443:127.0.0.1
  $ hopgate trace https://kb.ai-platform.example.internal/ -H @caller.headers      a credential that is on no command line

The key of a hopgate.yaml (./hopgate.yaml or --config) is sent to the hosts of its routes alone. A HAR file holds no bodies, no
values of queries, and no headers that may carry credentials. Exit 0 if every response arrived, whatever its status, and 1
if one did not; with --fail, 1 also if a status was 400 or more.`;

export const BENCH_EXAMPLES = `
Examples:
  $ hopgate bench --only http1                                   CPU per request of every variant
  $ hopgate bench --html report.html                             everything, and a page with plots
  $ hopgate bench --only http1 --wasm mine.wasm --plugin-config mine.json
  $ hopgate bench --only http1 -o json | jq '.cpu[].variants[] | {variant, added_us}'
  $ hopgate bench --only instructions --baseline limits.json     exit 1 if a limit is exceeded, or was not measured

Needs Linux. Parts: http1, http2, headers, stream, grpc, workers, latency, instructions, memory, reload, burst. The Rust peer is measured where cargo can
build it for wasm32-wasip1, instructions where Valgrind is on PATH. How to read the figures: bench/README.md.`;

export const RENDER_EXAMPLES = `
Examples:
  $ hopgate render | kubectl diff --server-side --field-manager=hopgate-NAME -f -
                                                     what would change, without hopgate's help
  $ hopgate render --kustomize deploy                deploy/base, deploy/overlays/gateway and deploy/overlays/waypoint
  $ kubectl apply --server-side --field-manager=hopgate-NAME -k deploy/overlays/gateway
                                                     one overlay after the other: each has the base in it
  $ hopgate render --rbac | kubectl apply -f -       the role for whoever runs hopgate deploy
  $ hopgate render --gcloud                          service accounts, invoker bindings and ingress settings, to be read
  $ hopgate render -o json | jq -r '.items[] | .kind + " " + .metadata.name'

The same file gives the same bytes. Nothing is sent anywhere. Gateways of the Gateway API and waypoints may be there already, with more
in them than is printed here: --server-side keeps that. NAME is the name of the mesh. Never delete by these files (kubectl delete, pruning): hopgate uninstall, after a
hopgate deploy, takes out only what is hopgate's. The group in the RoleBindings is yours to replace.`;

export const BUILD_EXAMPLES = `
Examples:
  $ hopgate build                              build/hopgate.wasm, the name of the build, and the digests of its images
  $ hopgate build -o json | jq -r .compat_digest

The same sources give the same bytes, and the same digests on every machine. It needs the AssemblyScript compiler, which
npm ci installs in a clone of the repository; the published package carries the module.`;

export const PUSH_EXAMPLES = `
Examples:
  $ hopgate push ghcr.io/me/hopgate            prints ghcr.io/me/hopgate@sha256:...: write it as image: in hopgate.yaml
  $ hopgate push ghcr.io/me/hopgate:v1 --shape artifact
  $ hopgate deploy --image "$(hopgate push ghcr.io/me/hopgate)"

Istio takes both shapes. Credentials come from docker login and its credential helpers (DOCKER_CONFIG, else ~/.docker). HTTP
is spoken to this machine alone, unless --plain-http says otherwise. What was pushed is pulled back by its digest, and compared.`;

export const COMPLETION_EXAMPLES = `
Examples:
  $ source <(hopgate completion bash)          for this shell; put it in ~/.bashrc to keep it
  $ hopgate completion zsh > "\${fpath[1]}/_hopgate"
  $ hopgate completion fish > ~/.config/fish/completions/hopgate.fish`;

import { locateEnvoy } from "../shim/envoy/locate.js";
import { wasmPath } from "../shim/package-root.js";
import { allVariants } from "./variants.js";
import { startSurroundings, callerToken, ISSUER, CALLER_AUDIENCE } from "./surroundings.js";
import { startSubject } from "./subject.js";
import { WORKLOADS } from "./workloads.js";
import { measureCpu } from "./measure-cpu.js";
const [w = "http1", ids = "", rounds = "9", secs = "0.5"] = process.argv.slice(2);
const envoy = await locateEnvoy({ env: process.env, install: true, notify: () => undefined });
const s = await startSurroundings(envoy.path);
const token = await callerToken(s.keys, 1);
const all = allVariants({ hopgatePath: process.env["HOPGATE_WASM"] ?? wasmPath(), emptyPath: process.cwd() + "/build/bench/empty.wasm", rustPath: "/tmp/hg/bench-cache/rust-target/wasm32-wasip1/release/hopgate_rust_peer.wasm", peer: process.env["PEER_WASM"] === undefined ? undefined : { wasmPath: process.env["PEER_WASM"], configuration: "" }, token, issuer: ISSUER, callerAudience: CALLER_AUDIENCE, jwks: JSON.stringify(s.keys.jwks()) });
const variants = all.filter((v) => ids === "" || ids.split(",").includes(v.id));
const workload = WORKLOADS.find((x) => x.id === w)!;
try {
  const subject = await startSubject({ keeper: s.keeper, envoyPath: envoy.path, name: "subject", variants, upstreams: s.upstreams, workers: workload.workers });
  await new Promise((r) => setTimeout(r, 1500));
  const res = await measureCpu({ subject, workload, variants, rounds: Number(rounds), durationMs: Number(secs) * 1000, headersFor: (v) => () => v.token === "none" ? {} : { authorization: `Bearer ${token}` }, onProgress: () => undefined });
  for (const r of res) console.log(r.variant.padEnd(22), r.cpu_us.median.toFixed(1), r.added_us.median.toFixed(2), `${r.added_us.low.toFixed(2)}..${r.added_us.high.toFixed(2)}`, r.requests);
} finally { await s.close(); }

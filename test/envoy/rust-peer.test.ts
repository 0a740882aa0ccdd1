import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { subjectConfig } from "../../bench/envoy-config.js";
import { METADATA_CLUSTER, wasmFilter } from "../../bench/filters.js";
import { untilServing } from "../../bench/probe.js";
import { buildRustPeer } from "../../bench/rust-peer.js";
import { portOf, startBenchEnvoy } from "../../bench/subject.js";
import { startSurroundings, type Surroundings } from "../../bench/surroundings.js";
import { wasmPath } from "../../shim/package-root.js";
import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { startService } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { scrape } from "../support/metrics.js";
import { rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";

/** The peer is a fair one only if it does the same: then the headers that a service and a client see, and the statistics, are the same. */

const envoyPath = (await realEnvoy()) ?? "";
const peer = envoyPath === "" ? { why: "there is no Envoy" } : await buildRustPeer(process.env);
if ("why" in peer) process.stderr.write(`Skipped, for the Rust peer cannot be built: ${peer.why}\n`);

const LLM = "llm.example.internal";
const KB = "kb.example.internal";
const KEY = "a-key";

const EDGE: PluginConfig = {
  hop: "ingress",
  edge: true,
  routes: [
    { hosts: [LLM], to: [{ backend: "llm", weight: 100 }] },
    { hosts: [KB, "*.agents.example.internal"], to: [{ backend: "kb", weight: 100 }], open: "a test" },
  ],
  backends: { llm: {}, kb: { token: { audience: "https://kb-abc123-uc.a.run.app" } } },
  identity: { cluster: METADATA_CLUSTER },
  bypass: [{ path: "/healthz" }],
  timing: { expose: "always" },
};

const CONFIGURATIONS: readonly (readonly [string, PluginConfig])[] = [
  ["an edge that tells everybody", EDGE],
  [
    "an edge that tells who knows the key, and refuses what no route matches",
    { ...EDGE, unmatched: "reject", timing: { expose: "trace", key: KEY } },
  ],
  ["an edge that tells nobody", { ...EDGE, timing: { expose: "never" } }],
  [
    "an inner hop with another behind it",
    {
      ...EDGE,
      edge: false,
      backends: { llm: { through: "agents" }, kb: EDGE.backends["kb"] ?? {} },
      timing: { expose: "never" },
    },
  ],
];

/** Request lines and headers. */
const REQUESTS: readonly string[] = [
  `GET /v1/models HTTP/1.1\r\nhost: ${LLM}`,
  `GET /timed HTTP/1.1\r\nhost: ${LLM}`,
  `GET /timed HTTP/1.1\r\nhost: ${KB}`,
  `GET / HTTP/1.1\r\nhost: ${KB}`,
  `GET / HTTP/1.1\r\nhost: ${KB}\r\nauthorization: Basic bWU6`,
  `GET / HTTP/1.1\r\nhost: ${KB}\r\nx-serverless-authorization: Bearer forged`,
  `GET / HTTP/1.1\r\nhost: ${KB}\r\nupgrade: other\r\nconnection: upgrade`,
  "GET / HTTP/1.1\r\nhost: one.agents.example.internal",
  "GET / HTTP/1.1\r\nhost: a.b.agents.example.internal",
  "GET / HTTP/1.1\r\nhost: agents.example.internal",
  `GET / HTTP/1.1\r\nhost: ${LLM.toUpperCase()}.:8080`,
  "GET / HTTP/1.1\r\nhost: other.example",
  "GET / HTTP/1.1\r\nhost: [2001:db8::1]:80",
  "GET / HTTP/1.1\r\nhost: a..b",
  "GET / HTTP/1.1\r\nhost: a,b",
  `GET /healthz?full HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-backend: forged`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-backend: forged\r\nx-hopgate-caller: forged\r\nx-hopgate-other: 1`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx_hopgate_caller: forged\r\nx-hopgate_other: 1\r\nx-other: 1`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-path: front,middle`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-path: 1,2,3,4,5,6,7,8`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-trace: ${KEY}`,
  `GET / HTTP/1.1\r\nhost: ${LLM}\r\nx-hopgate-trace: other`,
];

/** What differs from one request to the next: durations, dates, ids. */
function masked(name: string, value: string): string {
  if (name === "server-timing" || name === "x-hopgate-timing") return value.replace(/\d+\.\d{3}/g, "#");
  return ["date", "x-request-id", "x-envoy-upstream-service-time"].includes(name) ? "#" : value;
}

type Headers = readonly string[];

interface Observed {
  readonly answers: readonly { readonly status: number; readonly answered: Headers; readonly forwarded: Headers }[];
  /** Counters, and how many values each histogram has. */
  readonly statistics: readonly string[];
}

describe.skipIf("why" in peer)("the Rust peer and the filter", { timeout: 120_000 }, () => {
  let surroundings: Surroundings;
  let echo: LocalServer;

  beforeAll(async () => {
    surroundings = await startSurroundings(envoyPath);
    // `/timed`: as a hop that is behind, or a service that says it were one.
    echo = await startService((request, response) => {
      const body = JSON.stringify(request.rawHeaders);
      const timing =
        request.url === "/timed" ? { "x-hopgate-timing": "agents;dur=1.000, agents-upstream;dur=0.500" } : {};
      response.writeHead(200, { "content-length": Buffer.byteLength(body), "server-timing": "app;dur=1", ...timing });
      response.end(body);
    });
  });

  afterAll(async () => {
    await surroundings.close();
    await echo.close();
  });

  async function observe(name: string, path: string, configuration: PluginConfig): Promise<Observed> {
    const filters = [wasmFilter("", path, JSON.stringify(configuration))];
    const variant = { id: "all", name, filters, host: KB, token: "none", base: "all" } as const;
    const config = subjectConfig([variant], { ...surroundings.upstreams, service: echo.port });
    const { keeper } = surroundings;
    const envoy = await startBenchEnvoy({ keeper, envoyPath, name, config, workers: 1 });
    try {
      const port = portOf(envoy, "all");
      await untilServing({ port, host: KB });
      const before = await settledStatistics(envoy.admin);
      const answers = [];
      for (const head of REQUESTS) answers.push(await exchange(port, head));
      const after = await settledStatistics(envoy.admin);
      const changed = [...after].map(([key, value]) => `${key} ${value - (before.get(key) ?? 0)}`);
      return { answers, statistics: changed.filter((line) => !line.endsWith(" 0")).sort() };
    } finally {
      await envoy.stop();
    }
  }

  it.each(CONFIGURATIONS)("do the same to every request, at %s", async (name, configuration) => {
    if ("why" in peer) return;
    const slug = name.replaceAll(/\W+/g, "-");
    const [filter, rust] = await Promise.all([
      observe(`filter-${slug}`, wasmPath(), configuration),
      observe(`rust-${slug}`, peer.path, configuration),
    ]);
    expect(rust.answers).toEqual(filter.answers);
    expect(rust.statistics).toEqual(filter.statistics);
    expect(filter.statistics.length).toBeGreaterThan(8);
  });
});

async function exchange(port: number, head: string): Promise<Observed["answers"][number]> {
  const { status, headers, body } = await rawRequest(port, `${head}\r\n\r\n`);
  const answered = headers.map(([name, value]) => `${name}: ${masked(name, value)}`);
  // What the filter says itself is worded by each in its own way.
  if (status !== 200)
    return { status, answered: answered.filter((line) => line.startsWith("x-hopgate-")), forwarded: [] };
  const raw = JSON.parse(body.toString()) as string[];
  const forwarded = raw.flatMap((name, index) =>
    index % 2 === 0 ? `${name}: ${masked(name, raw[index + 1] ?? "")}` : [],
  );
  const known = answered.filter((line) => !line.startsWith("content-length"));
  return { status, answered: known.sort(), forwarded: forwarded.sort() };
}

type Statistics = ReadonlyMap<string, number>;

async function statistics(admin: Parameters<typeof scrape>[0]): Promise<Statistics> {
  const metrics = (await scrape(admin)).filter(({ name }) =>
    /^hopgate_(requests|(total|upstream|self|stream)_us.*_count$)/.test(name),
  );
  return new Map(metrics.map(({ name, value }) => [name, value]));
}

/** Envoy merges its histograms every few seconds: waits until every request that was counted is in that of its stream. */
async function settledStatistics(admin: Parameters<typeof scrape>[0]): Promise<Statistics> {
  return eventually(async () => {
    const found = await statistics(admin);
    const sum = (kind: string): number =>
      [...found].reduce((total, [name, value]) => total + (name.startsWith(`hopgate_${kind}`) ? value : 0), 0);
    return sum("requests") > 0 && sum("requests") === sum("stream_us") ? found : undefined;
  });
}

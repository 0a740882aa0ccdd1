import type { PluginConfig } from "../shim/render/plugin-config.js";

/** One way to handle the same request. */
export interface Variant {
  readonly name: string;
  /** The module, and what it is configured with; undefined: no filter at all. */
  readonly plugin: { readonly wasmPath: string; readonly configuration: string } | undefined;
  /** The host that is asked for. */
  readonly host: string;
}

export const METADATA_CLUSTER = "outbound|80||metadata.google.internal";
const LLM = "llm.bench.internal";
const KB = "kb.bench.internal";

/** No filter, an empty one, and ours doing route + timing and route + inject + timing, each among 10 and 1,000 routes. */
export function variants(hopgatePath: string, emptyPath: string): readonly Variant[] {
  const ours = (routes: number, host: string, job: string): Variant => ({
    name: `hopgate, ${job}, ${routes.toLocaleString("en")} routes`,
    plugin: { wasmPath: hopgatePath, configuration: JSON.stringify(configuration(routes)) },
    host,
  });
  return [
    { name: "no filter", plugin: undefined, host: LLM },
    { name: "empty filter", plugin: { wasmPath: emptyPath, configuration: "" }, host: LLM },
    ours(10, LLM, "route"),
    ours(10, KB, "route + inject"),
    ours(1000, LLM, "route"),
    ours(1000, KB, "route + inject"),
  ];
}

/** An edge with that many routes, two of which are used, that tells every client where the time went. */
function configuration(routes: number): PluginConfig {
  const others = Array.from({ length: routes - 2 }, (_, index) => ({
    hosts: [`service-${String(index)}.team-${String(index % 17)}.bench.internal`],
    to: [{ backend: "llm", weight: 100 }],
  }));
  return {
    hop: "ingress",
    edge: true,
    routes: [
      ...others,
      { hosts: [LLM], to: [{ backend: "llm", weight: 100 }] },
      { hosts: [KB], to: [{ backend: "kb", weight: 100 }], open: "a benchmark on loopback" },
    ],
    backends: { llm: {}, kb: { token: { audience: "https://kb-abc123-uc.a.run.app" } } },
    identity: { cluster: METADATA_CLUSTER },
    timing: { expose: "always" },
  };
}

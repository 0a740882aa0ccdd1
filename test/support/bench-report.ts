import type { CpuPart, Report } from "../../bench/report.js";
import type { Estimate } from "../../bench/statistics.js";

/** A report as a run makes it, with every part. */
export function sampleReport(fields: Partial<Report> = {}): Report {
  return {
    schema_version: 3,
    started_at: "2026-01-01T00:00:00.000Z",
    duration_s: 600,
    machine: {
      cpu: "A CPU <fast>",
      cores: 2,
      memory_bytes: 8 * 1024 ** 3,
      system: "Linux 6.1 x64",
      load_at_start: 0.1,
      cache_read_ns: 15,
      stolen_share: 0,
    },
    versions: { hopgate: "0.1.0", envoy: "1.40.0", node: "v20.19.0", rust: null },
    generator: "node",
    skipped: [{ what: "the Rust peer", why: "there is no cargo", failed: false }],
    warnings: [],
    cpu: [cpuPart()],
    latency: {
      rate_per_sec: 4000,
      processes: 1,
      rounds: 9,
      seconds: 2,
      variants: [latency("none", "no filter", 100), latency("hopgate-inject", "hopgate, route + inject", 120)],
      p99_differences: [{ variant: "hopgate-inject", to: "rust-inject", difference_us: around(-3) }],
    },
    instructions: {
      variants: [
        {
          variant: "hopgate-inject",
          name: "hopgate, route + inject",
          instructions: 230_000,
          added_instructions: 68_200,
          compiled_instructions: 6_400,
          requests: 1000,
        },
      ],
      ratios: [{ variant: "hopgate-inject", to: "rust-inject", added_ratio: 0.8 }],
    },
    memory: [
      {
        variant: "hopgate-inject",
        name: "hopgate, route + inject",
        start_ms: 250,
        start_cpu_ms: 90,
        envoy_start_bytes: 60 * 1024 ** 2,
        envoy_end_bytes: 61 * 1024 ** 2,
        vm_start_bytes: 262_144,
        vm_end_bytes: 262_144,
        vm_growth_bytes_per_request: 0,
        requests: 100_000,
      },
    ],
    reload: [{ variant: "none", name: "no filter", reload_ms: around(9), failed: 0 }],
    burst: [
      {
        variant: "hopgate-inject",
        name: "hopgate, route + inject",
        requests: 200,
        answered: 200,
        duration_ms: around(1040),
        after_token_ms: around(40),
        token_fetches: around(1),
        token_delay_ms: 1000,
      },
    ],
    host_calls: [{ call: "clock", name: "read the monotonic clock", cost_us: around(0.12) }],
    ...fields,
  };
}

export function cpuPart(): CpuPart {
  const variants = [
    ["none", "no filter", 0],
    ["hopgate-route", "hopgate, route", 8],
    ["hopgate-route-1000", "hopgate, route, 1,000 routes", 8.1],
    ["hopgate-inject", "hopgate, route + inject", 9],
    ["peer", "<your> filter", 30],
  ] as const;
  return {
    workload: "http1",
    name: "small requests, HTTP/1.1",
    workers: 1,
    processes: 1,
    rounds: 3,
    seconds: 0.5,
    chunks: null,
    variants: variants.map(([variant, name, added]) => ({
      variant,
      name,
      cpu_us: around(28 + added),
      added_us: added === 0 ? { median: 0, low: 0, high: 0 } : around(added),
      added_share: around(added / 28),
      requests: 30_000,
      rounds_cpu_us: [27, 28, 29].map((base) => base + added),
      rounds_added_us: [added, added, added],
    })),
    ratios: [{ variant: "hopgate-inject", to: "rust-inject", added_ratio: around(0.7) }],
  };
}

function latency(variant: string, name: string, us: number): NonNullable<Report["latency"]>["variants"][number] {
  const all = { p50: around(us), p90: around(us * 2), p99: around(us * 4), p999: around(us * 8) };
  return {
    variant,
    name,
    highest_rate_per_sec: 9000,
    latency_us: all,
    added_us: all,
    rounds_p99_us: [us * 4, us * 4, us * 4],
    distribution: [0, 0.5, 0.9, 0.99, 0.999, 0.9999].map((share, index) => ({ share, latency_us: us * (index + 1) })),
    requests: 70_000,
    unanswered: 0,
  };
}

function around(median: number): Estimate {
  return { median, low: median - Math.abs(median) / 10, high: median + Math.abs(median) / 10 };
}

import type { Hop } from "../../config/model.js";
import { fileSource } from "./files.js";
import { BOOTSTRAP_FILE, type EnvoyFile } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { STAT_TAGS } from "../stat-tags.js";

/** Far above what a laptop serves, far below its memory. Envoy warns of a listener without a limit. */
const MAX_DOWNSTREAM_CONNECTIONS = 20_000;

/** Envoy's own buckets are made for milliseconds; the filter's histograms hold microseconds, 50 µs to a minute. */
const MICROSECOND_BUCKETS = [
  50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
  5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/** What is fixed for the life of the process; all else comes from the files of the discovery services. */
export function bootstrapFile(hop: Hop, workDir: string): EnvoyFile {
  return {
    name: BOOTSTRAP_FILE,
    content: {
      node: { id: hop.name, cluster: `${hop.name}.${hop.namespace}` },
      admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
      dynamic_resources: { cds_config: fileSource(workDir, "cds"), lds_config: fileSource(workDir, "lds") },
      // The last layer makes the admin's /runtime_modify work.
      layered_runtime: { layers: [{ name: "admin", admin_layer: {} }] },
      bootstrap_extensions: [
        extension(
          "envoy.bootstrap.internal_listener",
          "envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
          { buffer_size_kb: 64 },
        ),
      ],
      overload_manager: {
        resource_monitors: [
          extension(
            "envoy.resource_monitors.global_downstream_max_connections",
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            { max_active_downstream_connections: MAX_DOWNSTREAM_CONNECTIONS },
          ),
        ],
      },
      stats_config: statsConfig(),
    },
  };
}

/** The tags of Istio's bootstrap (tools/packaging/common/envoy_bootstrap.json), so that metrics have the same labels. */
function statsConfig(): JsonObject {
  return {
    use_all_default_tags: false,
    stats_tags: [
      { tag_name: "cluster_name", regex: "^cluster(\\.(.+);)" },
      {
        tag_name: "http_conn_manager_prefix",
        regex: "^http\\.(((?:[_.[:digit:]\\w]*|[_\\[\\]aAbBcCdDeEfF[:digit:]\\w\\:]*));\\.)",
      },
      { tag_name: "response_code", regex: "_rq(_(\\d{3}))$" },
      { tag_name: "response_code_class", regex: "_rq(_(\\dxx))$" },
      { tag_name: "listener_address", regex: "^listener\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)" },
      ...STAT_TAGS.map((tag) => ({ tag_name: tag, regex: `(${tag}=\\.=(.*?);\\.;)` })),
    ],
    histogram_bucket_settings: [{ match: { contains: "hopgate_" }, buckets: MICROSECOND_BUCKETS }],
  };
}

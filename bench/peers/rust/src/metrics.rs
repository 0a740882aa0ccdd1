//! The metrics of one backend at one hop, under the names that hopgate gives them.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

#[derive(Clone, Copy)]
pub enum Outcome {
    Ok,
    Aborted,
    HostInvalid,
    RouteUnmatched,
    UpgradeUnsupported,
    TokenUnavailable,
}

const OUTCOMES: [&str; 6] =
    ["ok", "aborted", "host_invalid", "route_unmatched", "upgrade_unsupported", "token_unavailable"];

pub struct BackendMetrics {
    requests: [u32; OUTCOMES.len()],
    total: u32,
    upstream: u32,
    own: u32,
    stream: u32,
}

impl BackendMetrics {
    pub fn new(hop: &str, backend: &str) -> BackendMetrics {
        let labels = format!(".hop=.={hop};.;backend=.={backend};.;");
        let histogram = |name: &str| define(MetricType::Histogram, &format!("hopgate_{name}_us{labels}"));
        BackendMetrics {
            requests: OUTCOMES
                .map(|outcome| define(MetricType::Counter, &format!("hopgate_requests{labels}result=.={outcome};.;"))),
            total: histogram("total"),
            upstream: histogram("upstream"),
            own: histogram("self"),
            stream: histogram("stream"),
        }
    }

    pub fn record_headers(&self, total: Duration, upstream: Duration) {
        record(self.total, total);
        record(self.upstream, upstream);
        record(self.own, total.saturating_sub(upstream));
    }

    pub fn record_end(&self, outcome: Outcome, stream: Duration) {
        let _ = hostcalls::increment_metric(self.requests[outcome as usize], 1);
        record(self.stream, stream);
    }
}

fn define(kind: MetricType, name: &str) -> u32 {
    hostcalls::define_metric(kind, name).expect("a metric can be defined")
}

fn record(metric: u32, time: Duration) {
    let _ = hostcalls::record_metric(metric, time.as_micros() as u64);
}

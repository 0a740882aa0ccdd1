//! The plugin configuration, compiled once into what a request walks.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::metrics::BackendMetrics;
use crate::route::HostTable;
use crate::token::Tokens;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    hop: String,
    #[serde(default)]
    edge: bool,
    #[serde(default)]
    unmatched: Unmatched,
    routes: Vec<PluginRoute>,
    backends: BTreeMap<String, PluginBackend>,
    identity: Option<PluginIdentity>,
    #[serde(default)]
    bypass: Vec<Bypass>,
    #[serde(default)]
    timing: PluginTiming,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Unmatched {
    #[default]
    Pass,
    Reject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginRoute {
    hosts: Vec<String>,
    to: [Arm; 1],
    #[serde(rename = "open")]
    _open: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arm {
    backend: String,
    #[serde(rename = "weight")]
    _weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginBackend {
    token: Option<PluginToken>,
    through: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginToken {
    audience: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginIdentity {
    cluster: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    pub path: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct PluginTiming {
    #[serde(default)]
    expose: Expose,
    #[serde(default)]
    key: String,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    #[default]
    Never,
    Always,
    Trace,
}

pub struct Backend {
    pub name: String,
    /// Index into `Config::tokens`.
    pub token: Option<usize>,
    /// Another hop is behind this one: its report of time is believed.
    pub through: bool,
    pub metrics: BackendMetrics,
}

pub struct Config {
    pub hop: String,
    pub edge: bool,
    pub reject_unmatched: bool,
    /// The last one stands for whatever no route matches.
    pub backends: Vec<Backend>,
    pub hosts: HostTable,
    pub tokens: Tokens,
    pub bypass: Vec<Bypass>,
    pub expose: Expose,
    pub trace_key: String,
}

impl Config {
    pub fn new(plugin: PluginConfig) -> Config {
        let mut tokens = Tokens::new(plugin.identity.map(|identity| identity.cluster).unwrap_or_default());
        let mut backends: Vec<Backend> = Vec::new();
        for (name, fields) in plugin.backends {
            backends.push(Backend {
                metrics: BackendMetrics::new(&plugin.hop, &name),
                token: fields.token.map(|token| tokens.add(token.audience)),
                through: fields.through.is_some(),
                name,
            });
        }
        let mut hosts = HostTable::default();
        for route in plugin.routes {
            let [Arm { backend, .. }] = &route.to;
            let index = backends.iter().position(|known| &known.name == backend);
            for host in route.hosts {
                hosts.add(&host, index.expect("a route names a backend that is there"));
            }
        }
        backends.push(Backend {
            metrics: BackendMetrics::new(&plugin.hop, "_unmatched"),
            token: None,
            through: false,
            name: String::new(),
        });
        Config {
            hop: plugin.hop,
            edge: plugin.edge,
            reject_unmatched: plugin.unmatched == Unmatched::Reject,
            backends,
            hosts,
            tokens,
            bypass: plugin.bypass,
            expose: plugin.timing.expose,
            trace_key: plugin.timing.key,
        }
    }

    pub fn unmatched(&self) -> usize {
        self.backends.len() - 1
    }
}

//! The request path of hopgate in Rust, with the proxy-wasm crate: sanitise, bypass, find the route, choose the backend, add the ID token,
//! stamp the hop, tell the time, count. It reads hopgate's own plugin configuration, gives the same headers both ways, and keeps the
//! same metrics (a test holds the two side by side).
//!
//! What it leaves out is not on the path that is measured, and a configuration that asks for it is refused: validation of callers, splits, sticky
//! sessions, waypoints (`match: service`). It does not look for its own tokens among what callers send. A request that comes before its token is refused, not held; workers fetch each for itself.

mod config;
mod head;
mod host_name;
mod metrics;
mod request;
mod route;
mod timing;
mod token;

use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::config::{Config, PluginConfig};
use crate::request::Request;

/// As hopgate: the first tick soon, since the work begins there, and then one a second.
const FIRST_TICK: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_secs(1);

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Hop { config: None, ticked: false }));
}}

struct Hop {
    config: Option<Rc<Config>>,
    ticked: bool,
}

impl Context for Hop {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, body_size: usize, _trailers: usize) {
        let Some(config) = &self.config else { return };
        let status = self.get_http_call_response_header_bytes(":status");
        let body = self.get_http_call_response_body(0, body_size).unwrap_or_default();
        let fetched = (status.as_deref() == Some(b"200".as_slice())).then_some(body);
        config.tokens.receive(token, fetched.as_deref(), self.get_current_time());
    }
}

impl RootContext for Hop {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        match serde_json::from_slice::<PluginConfig>(&text) {
            Ok(parsed) => {
                self.config = Some(Rc::new(Config::new(parsed)));
                self.set_tick_period(FIRST_TICK);
                true
            }
            Err(error) => {
                let _ = proxy_wasm::hostcalls::log(proxy_wasm::types::LogLevel::Error, &format!("rust peer: {error}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(config) = &self.config else { return };
        if !self.ticked {
            self.ticked = true;
            self.set_tick_period(TICK);
        }
        config.tokens.fetch_due(self);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        self.config.as_ref().map(|config| Box::new(Request::new(Rc::clone(config))) as Box<dyn HttpContext>)
    }
}

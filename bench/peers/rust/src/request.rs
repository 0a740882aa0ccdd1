//! One request.

use std::rc::Rc;
use std::time::Instant;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::config::{Config, Expose};
use crate::head::{looks_own, Head};
use crate::host_name;
use crate::metrics::Outcome;
use crate::timing;

const MAX_STAMPS: usize = 8;

#[derive(PartialEq)]
enum Phase {
    Headers,
    Forwarded(Instant),
    Refused,
    Answered,
    Ignored,
}

pub struct Request {
    config: Rc<Config>,
    phase: Phase,
    backend: usize,
    outcome: Outcome,
    exposed: bool,
    /// The stream is made when its headers are there.
    start: Instant,
}

impl Request {
    pub fn new(config: Rc<Config>) -> Request {
        let backend = config.unmatched();
        let (phase, outcome) = (Phase::Headers, Outcome::Aborted);
        Request { config, phase, backend, outcome, exposed: false, start: Instant::now() }
    }

    fn sanitise(&self, headers: &[(String, Vec<u8>)]) {
        for (name, _) in headers {
            if !looks_own(name) {
                continue;
            }
            let forged = name == "x-hopgate-backend" || name == "x-hopgate-caller" || name.contains('_');
            if forged || self.config.edge {
                self.set_http_request_header(name, None);
            }
        }
    }

    fn stamp(&self, head: &Head) {
        let hop = self.config.hop.as_bytes();
        if self.config.edge || head.stamps.is_empty() {
            self.set_own(head, "x-hopgate-path", hop);
            return;
        }
        let commas = head.stamps.iter().filter(|&&byte| byte == b',').count();
        if commas + 1 < MAX_STAMPS {
            self.set_own(head, "x-hopgate-path", &[head.stamps, b",", hop].concat());
        }
    }

    /// Where nothing came that looks like ours there is nothing to replace, and to add costs the host half as much.
    fn set_own(&self, head: &Head, name: &str, value: &[u8]) {
        if head.has_own {
            self.set_http_request_header_bytes(name, Some(value));
        } else {
            self.add_http_request_header_bytes(name, value);
        }
    }

    /// False where there is no token: then the request must not go on.
    fn identify(&self, token: usize, head: &Head) -> bool {
        if head.has_serverless_authorization {
            self.set_http_request_header("x-serverless-authorization", None);
        }
        let Some(header) = self.config.tokens.header(token, self.start) else { return false };
        let name = if head.has_authorization { "x-serverless-authorization" } else { "authorization" };
        self.set_http_request_header(name, Some(&header));
        true
    }

    fn forward(&mut self) -> Action {
        self.phase = Phase::Forwarded(Instant::now());
        Action::Continue
    }

    fn refuse(&mut self, outcome: Outcome, status: u32, code: &str) -> Action {
        self.phase = Phase::Refused;
        self.outcome = outcome;
        let body = format!("{{\"type\":\"about:blank\",\"status\":{status},\"code\":\"{code}\"}}");
        let headers = vec![("content-type", "application/problem+json"), ("x-hopgate-error", code)];
        self.send_http_response(status, headers, Some(body.as_bytes()));
        Action::Pause
    }

    fn tell_time(&self, upstream_start: Instant, now: Instant) {
        let config = &*self.config;
        if config.edge && !self.exposed {
            self.set_http_response_header("x-hopgate-timing", None);
            return;
        }
        let mut text = String::with_capacity(128);
        let behind = config.backends[self.backend].through && matches!(self.outcome, Outcome::Ok);
        if behind {
            if let Some(inner) = self.get_http_response_header("x-hopgate-timing") {
                if timing::is_timing(&inner) {
                    text = inner;
                }
            }
        }
        timing::append(&mut text, &config.hop, now - self.start, now - upstream_start);
        if self.exposed {
            self.set_http_response_header("x-hopgate-timing", None);
            self.add_http_response_header("server-timing", &text);
        } else {
            self.set_http_response_header("x-hopgate-timing", Some(&text));
        }
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let config = Rc::clone(&self.config);
        let headers = self.get_http_request_headers_bytes();
        let head = Head::read(&headers);
        self.exposed = match config.expose {
            Expose::Never => false,
            Expose::Always => true,
            Expose::Trace => !config.trace_key.is_empty() && head.trace == config.trace_key.as_bytes(),
        };
        let mut host = Vec::with_capacity(head.authority.len());
        let found = host_name::parse(head.authority, &mut host);
        if head.has_own {
            self.sanitise(&headers);
        }
        let path = head.path.split(|&byte| byte == b'?').next().unwrap_or_default();
        if config.bypass.iter().any(|bypass| bypass.path.as_bytes() == path) {
            self.phase = Phase::Ignored;
            return Action::Continue;
        }
        if !found {
            return self.refuse(Outcome::HostInvalid, 400, "host_invalid");
        }
        let backend = config.hosts.find(&host);
        if backend.is_none() && config.reject_unmatched {
            return self.refuse(Outcome::RouteUnmatched, 404, "route_unmatched");
        }
        self.stamp(&head);
        let Some(backend) = backend else { return self.forward() };
        self.backend = backend;
        let backend = &config.backends[backend];
        self.set_own(&head, "x-hopgate-backend", backend.name.as_bytes());
        if let Some(token) = backend.token {
            let websocket = head.upgrade.is_empty() || head.upgrade.eq_ignore_ascii_case(b"websocket");
            if head.method == b"CONNECT" || !websocket {
                return self.refuse(Outcome::UpgradeUnsupported, 400, "upgrade_unsupported");
            }
            if !self.identify(token, &head) {
                return self.refuse(Outcome::TokenUnavailable, 503, "token_unavailable");
            }
        }
        self.forward()
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let now = Instant::now();
        let upstream_start = match self.phase {
            Phase::Forwarded(at) => {
                self.outcome = Outcome::Ok;
                at
            }
            Phase::Refused => now,
            _ => {
                self.set_http_response_header("x-hopgate-timing", None);
                return Action::Continue;
            }
        };
        self.phase = Phase::Answered;
        self.tell_time(upstream_start, now);
        let metrics = &self.config.backends[self.backend].metrics;
        metrics.record_headers(now - self.start, now - upstream_start);
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.phase != Phase::Ignored && self.phase != Phase::Headers {
            let metrics = &self.config.backends[self.backend].metrics;
            metrics.record_end(self.outcome, self.start.elapsed());
        }
    }
}

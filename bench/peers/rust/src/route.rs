//! Which host leads to which backend: exact names, else the longest `*.` suffix.

use std::collections::HashMap;

#[derive(Default)]
pub struct HostTable {
    exact: HashMap<Vec<u8>, usize>,
    wildcard: HashMap<Vec<u8>, usize>,
}

impl HostTable {
    pub fn add(&mut self, host: &str, backend: usize) {
        match host.strip_prefix("*.") {
            Some(suffix) => self.wildcard.insert(suffix.into(), backend),
            None => self.exact.insert(host.into(), backend),
        };
    }

    pub fn find(&self, host: &[u8]) -> Option<usize> {
        if let Some(&backend) = self.exact.get(host) {
            return Some(backend);
        }
        if self.wildcard.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some(dot) = rest.iter().position(|&byte| byte == b'.') {
            rest = &rest[dot + 1..];
            if let Some(&backend) = self.wildcard.get(rest) {
                return Some(backend);
            }
        }
        None
    }
}

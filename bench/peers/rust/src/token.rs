//! ID tokens from the metadata server, one for each audience, fetched before a request needs them and refreshed before they expire.

use std::cell::{Ref, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use proxy_wasm::traits::RootContext;
use serde::Deserialize;

const TIMEOUT: Duration = Duration::from_secs(2);
const REFRESH_BEFORE: Duration = Duration::from_secs(240);
/// A token must still be valid when it has reached the service.
const MARGIN: Duration = Duration::from_secs(5);
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=";

pub struct Tokens {
    cluster: String,
    slots: Vec<RefCell<Slot>>,
}

struct Slot {
    audience: String,
    /// `Bearer TOKEN`, empty if there is none.
    header: String,
    /// By the monotonic clock; none: there is no token.
    expires: Option<Instant>,
    call: Option<u32>,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: u64,
}

impl Tokens {
    pub fn new(cluster: String) -> Tokens {
        Tokens { cluster, slots: Vec::new() }
    }

    pub fn add(&mut self, audience: String) -> usize {
        if let Some(index) = self.slots.iter().position(|slot| slot.borrow().audience == audience) {
            return index;
        }
        let slot = Slot { audience, header: String::new(), expires: None, call: None };
        self.slots.push(RefCell::new(slot));
        self.slots.len() - 1
    }

    /// What goes into the header; none where there is no token that lasts.
    pub fn header(&self, index: usize, now: Instant) -> Option<Ref<'_, str>> {
        let slot = self.slots[index].borrow();
        slot.expires.is_some_and(|expires| now + MARGIN < expires).then(|| Ref::map(slot, |slot| slot.header.as_str()))
    }

    pub fn fetch_due(&self, root: &dyn RootContext) {
        let now = Instant::now();
        for slot in &self.slots {
            let mut slot = slot.borrow_mut();
            if slot.call.is_some() || slot.expires.is_some_and(|expires| now + REFRESH_BEFORE < expires) {
                continue;
            }
            let path = format!("{PATH}{}", encode(&slot.audience));
            let headers = vec![
                (":method", "GET"),
                (":path", path.as_str()),
                (":authority", "metadata.google.internal"),
                ("metadata-flavor", "Google"),
            ];
            slot.call = root.dispatch_http_call(&self.cluster, headers, None, vec![], TIMEOUT).ok();
        }
    }

    /// The answer to a call: a token, or none where it failed.
    pub fn receive(&self, call: u32, body: Option<&[u8]>, wall: SystemTime) {
        for slot in &self.slots {
            let mut slot = slot.borrow_mut();
            if slot.call != Some(call) {
                continue;
            }
            slot.call = None;
            let token = body.and_then(|body| std::str::from_utf8(body).ok()).map(str::trim);
            if let Some((token, claims)) = token.and_then(|token| Some((token, claims_of(token)?))) {
                let expires = UNIX_EPOCH + Duration::from_secs(claims.exp);
                let left = expires.duration_since(wall).unwrap_or_default();
                if claims.aud == slot.audience {
                    slot.header = format!("Bearer {token}");
                    slot.expires = Some(Instant::now() + left);
                }
            }
        }
    }
}

fn claims_of(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn encode(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

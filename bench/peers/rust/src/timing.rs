//! How time is told: `HOP;dur=12.402, HOP-upstream;dur=12.050`, in milliseconds with three decimals.

use std::fmt::Write;
use std::time::Duration;

pub fn append(text: &mut String, hop: &str, total: Duration, upstream: Duration) {
    if !text.is_empty() {
        text.push_str(", ");
    }
    let (total, upstream) = (total.as_micros(), upstream.as_micros());
    let _ = write!(
        text,
        "{hop};dur={}.{:03}, {hop}-upstream;dur={}.{:03}",
        total / 1000,
        total % 1000,
        upstream / 1000,
        upstream % 1000
    );
}

/// Whether `value` is what hops write: `name;dur=digits.digits`, separated by a comma and a space.
pub fn is_timing(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let entry = |entry: &str| {
        entry.split_once(";dur=").is_some_and(|(hop, number)| {
            name(hop) && number.split_once('.').is_some_and(|(whole, rest)| digits(whole) && digits(rest))
        })
    };
    !value.is_empty() && value.split(", ").all(entry)
}

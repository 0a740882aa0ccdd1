//! What of a request's headers is needed, found in one pass over what was read in one call.

#[derive(Default)]
pub struct Head<'a> {
    pub authority: &'a [u8],
    pub method: &'a [u8],
    pub path: &'a [u8],
    pub upgrade: &'a [u8],
    pub stamps: &'a [u8],
    pub trace: &'a [u8],
    pub has_authorization: bool,
    pub has_serverless_authorization: bool,
    /// A header came whose name looks like one of ours.
    pub has_own: bool,
}

const OWN_PREFIX: &[u8] = b"x-hopgate-";

/// Whether `name` begins with `x-hopgate-`, or with underscores in the place of hyphens.
pub fn looks_own(name: &str) -> bool {
    let name = name.as_bytes();
    name.len() >= OWN_PREFIX.len()
        && name.iter().zip(OWN_PREFIX).all(|(byte, own)| byte == own || (*byte == b'_' && *own == b'-'))
}

impl<'a> Head<'a> {
    pub fn read(headers: &'a [(String, Vec<u8>)]) -> Head<'a> {
        let mut head = Head::default();
        for (name, value) in headers {
            match name.as_str() {
                ":authority" => head.authority = value,
                ":method" => head.method = value,
                ":path" => head.path = value,
                "upgrade" => head.upgrade = value,
                "authorization" => head.has_authorization = true,
                "x-serverless-authorization" => head.has_serverless_authorization = true,
                other if looks_own(other) => {
                    head.has_own = true;
                    match other {
                        "x-hopgate-path" => head.stamps = value,
                        "x-hopgate-trace" => head.trace = value,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        head
    }
}

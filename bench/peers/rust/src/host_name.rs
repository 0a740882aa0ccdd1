//! The host of a request as the routes know it. The rules are those of `filter/host-name.ts`.

const MAX_NAME: usize = 253;

/// Writes the host of `authority` into `name`: lower case, no port, no trailing dot. False where it is no valid host.
pub fn parse(authority: &[u8], name: &mut Vec<u8>) -> bool {
    name.clear();
    if authority.first() == Some(&b'[') {
        parse_address(authority, name)
    } else {
        parse_name(authority, name)
    }
}

fn parse_name(authority: &[u8], name: &mut Vec<u8>) -> bool {
    let mut host = authority;
    if let Some(colon) = authority.iter().position(|&byte| byte == b':') {
        if !is_port(&authority[colon + 1..]) {
            return false;
        }
        host = &authority[..colon];
    }
    host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > MAX_NAME {
        return false;
    }
    let mut before = b'.';
    for &byte in host {
        let byte = byte.to_ascii_lowercase();
        let known = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_') || byte >= 0x80;
        if !known || (byte == b'.' && before == b'.') {
            return false;
        }
        name.push(byte);
        before = byte;
    }
    before != b'.'
}

fn parse_address(authority: &[u8], name: &mut Vec<u8>) -> bool {
    let Some(end) = authority.iter().position(|&byte| byte == b']') else { return false };
    if !(3..=46).contains(&end) {
        return false;
    }
    let mut colons = 0;
    for byte in &authority[1..end] {
        let byte = byte.to_ascii_lowercase();
        if !byte.is_ascii_hexdigit() && byte != b':' && byte != b'.' {
            return false;
        }
        colons += usize::from(byte == b':');
        name.push(byte);
    }
    let rest = &authority[end + 1..];
    colons >= 2 && (rest.is_empty() || (rest[0] == b':' && is_port(&rest[1..])))
}

fn is_port(digits: &[u8]) -> bool {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let port = digits.iter().fold(0u32, |port, digit| port * 10 + u32::from(digit - b'0'));
    (1..=65535).contains(&port)
}

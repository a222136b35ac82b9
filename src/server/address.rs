//! Who is asking: the socket's peer, or whom a trusted proxy names, or on a private network whom the client names.

use super::Server;
use crate::base::Cidr;
use crate::wire::http1::Head;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

impl Server {
    /// The address of the client behind a request. `None`: a trusted proxy names something that is not an address.
    pub(super) fn client_ip(&self, peer: SocketAddr, head: &Head<'_>) -> Option<IpAddr> {
        let peer = peer.ip().to_canonical();
        let trusted = |ip: IpAddr| self.settings.trusted_proxies.iter().any(|net: &Cidr| net.contains(ip));
        if !head.forwarded || !trusted(peer) {
            return Some(peer);
        }
        let mut chain: Vec<&[u8]> = head.lines("x-forwarded-for").flat_map(split_list).collect();
        if chain.is_empty() {
            let elements = head.lines("forwarded").flat_map(|line| split_quoted(line, b','));
            chain = elements.filter_map(forwarded_for).collect();
        }
        let mut client = peer;
        for named in chain.into_iter().rev() {
            client = parse_address(named)?;
            if !trusted(client) {
                break;
            }
        }
        Some(client)
    }
}

/// Whether a client at this address may name another one (TRUST_IP_PARAM).
pub(super) fn may_name_itself(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether an address can be a peer's.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    }
}

fn split_list(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    line.split(|byte| *byte == b',').map(|item| item.trim_ascii()).filter(|item| !item.is_empty())
}

/// Splits where `separator` stands outside quotes: what a client made up, such as a host, is quoted and names nobody.
fn split_quoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == separator && !quoted
    })
}

/// The `for=` value of one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    split_quoted(element, b';').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        name.eq_ignore_ascii_case(b"for").then(|| quoted.unwrap_or(value))
    })
}

/// `1.2.3.4`, `1.2.3.4:99`, `2001:db8::1`, `[2001:db8::1]:99`; a zone id is dropped.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            let port = port.strip_prefix(':');
            if port.is_some_and(|port| port.parse::<u16>().is_err()) {
                return None;
            }
            ip
        }
        None => match text.rsplit_once(':') {
            Some((ip, port)) if !ip.contains(':') => {
                port.parse::<u16>().ok()?;
                ip
            }
            _ => text,
        },
    };
    let bare = bare.split('%').next().unwrap_or(bare);
    let v4 = bare.parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| bare.parse::<Ipv6Addr>().map(IpAddr::V6)).ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, ip) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:99", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:99", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(parse_address(text.as_bytes()), Some(ip.parse().expect("an address")), "{text}");
        }
        for text in ["unknown", "_x", "", "1.2.3.4:x", "[::1]:99999", "1.2.3", "[::1"] {
            assert_eq!(parse_address(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_for_value_is_found_in_any_form() {
        assert_eq!(forwarded_for(b"proto=http; For=\"[2001:db8::1]:99\""), Some(&b"[2001:db8::1]:99"[..]));
        assert_eq!(forwarded_for(b"for=1.2.3.4;by=5.6.7.8"), Some(&b"1.2.3.4"[..]));
        assert_eq!(forwarded_for(b"by=5.6.7.8"), None);
    }
}

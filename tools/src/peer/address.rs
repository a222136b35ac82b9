//! What an address is good for: one form for each machine, which addresses are never dialled, which are local.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The one form of an address: IPv4-mapped IPv6 is IPv4, flow and scope do not count.
pub fn folded(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether a peer can be there at all: not port 0, unspecified, multicast, broadcast or reserved.
pub fn is_dialable(address: &SocketAddr) -> bool {
    let possible = match address.ip().to_canonical() {
        // 0.0.0.0/8 is this network; from 224 on there is multicast, then what is reserved, broadcast last.
        IpAddr::V4(ip) => !matches!(ip.octets(), [0 | 224.., ..]),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    possible && address.port() != 0
}

/// Loopback, or a network that is not routed: RFC 1918, 100.64.0.0/10, unique local addresses.
pub fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback() || is_private(ip)
}

/// A network that is not routed: RFC 1918, 100.64.0.0/10, unique local addresses.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// Addresses of one link, which mean nothing to anybody else.
pub fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The network of whoever has this address: its /24, or its /48.
pub fn neighbourhood(ip: IpAddr) -> IpAddr {
    leading(ip, 24, 48)
}

/// What one person has of the address space: an IPv4 address, or a /64.
pub fn household(ip: IpAddr) -> IpAddr {
    leading(ip, 32, 64)
}

fn leading(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4_bits))).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6_bits))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_at_these_addresses() {
        for text in [
            "192.0.2.1:0",
            "0.0.0.0:1",
            "0.1.2.3:1",
            "224.0.0.1:1",
            "239.255.255.255:1",
            "240.0.0.1:1",
            "255.255.255.255:1",
            "[::]:1",
            "[ff02::1]:1",
            "[::ffff:0.0.0.0]:1",
            "[::ffff:224.0.0.1]:1",
            "[2001:db8::1]:0",
        ] {
            assert!(!is_dialable(&text.parse().expect(text)), "{text}");
        }
        for text in ["192.0.2.1:1", "223.255.255.255:65535", "127.0.0.1:1", "[::1]:1", "[2001:db8::1]:1"] {
            assert!(is_dialable(&text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn local_is_what_is_not_routed() {
        let ip = |text: &str| text.parse::<IpAddr>().expect(text);
        for text in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(ip(text)) && is_local(ip(text)), "{text}");
        }
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!is_private(ip(text)) && is_local(ip(text)), "{text}");
        }
        for text in ["100.63.0.1", "100.128.0.1", "172.32.0.1", "192.0.2.1", "2001:db8::1", "169.254.0.1"] {
            assert!(!is_local(ip(text)), "{text}");
        }
        assert!(
            is_link_local(ip("169.254.1.1"))
                && is_link_local(ip("fe80::1"))
                && !is_link_local(ip("10.0.0.1"))
        );
    }

    #[test]
    fn networks_are_cut_where_the_specification_says() {
        let ip = |text: &str| text.parse::<IpAddr>().expect(text);
        assert_eq!(neighbourhood(ip("192.0.2.77")), ip("192.0.2.0"));
        assert_eq!(neighbourhood(ip("2001:db8:1:2::3")), ip("2001:db8:1::"));
        assert_eq!(household(ip("::ffff:192.0.2.77")), ip("192.0.2.77"));
        assert_eq!(household(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
        let mapped = "[::ffff:192.0.2.1]:5".parse().expect("an address");
        assert_eq!(folded(mapped), "192.0.2.1:5".parse().expect("an address"));
    }
}

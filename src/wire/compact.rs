//! Compact peers: 6 bytes over IPv4 (BEP 23), 18 over IPv6 (BEP 7); address, then port, big-endian.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// One IPv4 peer.
pub fn parse4(bytes: &[u8; 6]) -> SocketAddrV4 {
    let [a, b, c, d, high, low] = *bytes;
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]))
}

/// One IPv6 peer.
pub fn parse6(bytes: &[u8; 18]) -> SocketAddrV6 {
    let ip: [u8; 16] = std::array::from_fn(|at| bytes[at]);
    SocketAddrV6::new(Ipv6Addr::from(ip), u16::from_be_bytes([bytes[16], bytes[17]]), 0, 0)
}

/// All whole IPv4 peers.
pub fn peers4(bytes: &[u8]) -> impl Iterator<Item = SocketAddrV4> + '_ {
    bytes.as_chunks::<6>().0.iter().map(parse4)
}

/// All whole IPv6 peers.
pub fn peers6(bytes: &[u8]) -> impl Iterator<Item = SocketAddrV6> + '_ {
    bytes.as_chunks::<18>().0.iter().map(parse6)
}

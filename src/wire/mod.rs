//! Formats on the wire, both directions. Bytes become typed values here, once; nothing above checks a port, a length
//! or a range again. No sockets, no policy.

pub mod announce;
pub mod bencode;
pub mod compact;
pub mod http1;
pub mod http_tracker;
pub mod idt_client;
pub mod idt_peers;
pub mod passkey;
pub mod query;
pub mod tracker_client;
pub mod udp_tracker;

/// The value of a hex digit of either case.
pub(crate) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

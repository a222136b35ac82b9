//! Formats on the wire, both directions. Bytes become typed values here, once; nothing above checks a port, a length
//! or a range again. No sockets, no policy.

pub mod announce;
pub mod bencode;
pub mod compact;
pub mod http1;
pub mod http_tracker;
pub mod passkey;
pub mod query;
pub mod udp_tracker;

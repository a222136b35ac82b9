//! The words both tracker wires share: an announce, its answer, and why one is refused (BEP 3, 7, 15, 21, 48, 52).
//!
//! UDP and HTTP parse into these, one `Tracker` decides on them, and each wire has a writer for them.

use crate::base::{PeerId, SwarmKey, V1Hash, V2Hash};
use std::net::{IpAddr, SocketAddr};

/// The hash a client announced or scraped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnnouncedHash {
    /// 20 bytes: a v1 hash, or a v2 hash cut to 20 bytes. Only the table can tell which.
    Short(SwarmKey),
    /// All 32 bytes of a v2 hash; HTTP only.
    Full(V2Hash),
}

impl AnnouncedHash {
    /// The key to look up.
    pub fn key(&self) -> SwarmKey {
        match self {
            Self::Short(key) => *key,
            Self::Full(hash) => hash.key(),
        }
    }

    /// 20 or 32 bytes as a hash; `None` for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            20 => Some(Self::Short(V1Hash(bytes.try_into().ok()?).key())),
            32 => Some(Self::Full(V2Hash(bytes.try_into().ok()?))),
            _ => None,
        }
    }
}

/// Why the client announces (BEP 3, BEP 15, BEP 21).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Event {
    /// A regular announce.
    #[default]
    None,
    /// The first of a session.
    Started,
    /// The download has just finished; `left` counts as 0 whatever was sent.
    Completed,
    /// The client leaves.
    Stopped,
    /// A partial seed: has all it wants, not all there is.
    Paused,
}

/// One announce as either wire understood it. The client's address is not part of it: it comes from the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnnounceRequest {
    /// The swarm.
    pub info_hash: AnnouncedHash,
    /// The client's name for itself.
    pub peer_id: PeerId,
    /// The port it listens on, 1-65535.
    pub port: u16,
    /// Bytes uploaded in this session, at most 2^63-1.
    pub uploaded: u64,
    /// Bytes downloaded in this session, at most 2^63-1.
    pub downloaded: u64,
    /// Bytes missing; `None` when the client does not know yet (it counts as a leecher).
    pub left: Option<u64>,
    /// Why it announces.
    pub event: Event,
    /// Peers wanted; `None` asks for the tracker's default.
    pub peers_wanted: Option<u32>,
}

/// What the tracker decided. Reused from request to request, so that answering allocates nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnnounceResponse {
    /// Seeders in the swarm after this announce.
    pub complete: u32,
    /// Leechers in the swarm after this announce.
    pub incomplete: u32,
    /// IPv4 peers: 6 bytes each, address then port, big-endian.
    pub peers4: Vec<u8>,
    /// IPv6 peers: 18 bytes each, address then port, big-endian.
    pub peers6: Vec<u8>,
}

/// The counts of one swarm (BEP 48).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScrapeStats {
    /// Seeders.
    pub complete: u32,
    /// Downloads finished since the entry exists.
    pub downloaded: u64,
    /// Leechers, partial seeds among them.
    pub incomplete: u32,
    /// Leechers that are not partial seeds (BEP 21).
    pub downloaders: u32,
}

/// Why a well-formed request is not served. Each wire chooses its own words for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The client's address cannot be determined.
    UnknownAddress,
    /// Too many requests from this address.
    RateLimited,
    /// The passkey is bad, or was given while none are in use.
    Unauthorized,
    /// Passkeys are in use and none was given.
    PasskeyMissing,
    /// The hash was taken down.
    Blocked,
    /// A whitelist is in force and does not name the hash.
    NotListed,
    /// The tracker serves registered torrents only, and this is none.
    Unregistered,
    /// As many clients as MAX_TOTAL_PEERS allows are here already.
    Full,
}

/// An address to be told to others: IPv4-mapped IPv6 counts as IPv4.
pub fn client_address(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), port)
}

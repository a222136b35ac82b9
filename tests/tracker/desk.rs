//! A tracker with a clock, and short words for what is asked of it.

use std::net::SocketAddr;
use weightless::base::{InfoHashes, Now, PeerId, SwarmKey, V1Hash, V2Hash};
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{
    AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal, ScrapeStats,
};

pub struct Desk {
    pub tracker: Tracker,
    pub mono_ms: u64,
    pub response: AnnounceResponse,
    pub reach: Reach,
}

pub const TAG_KEY: u64 = 0x1234_5678_9abc_def1;

pub fn policy(access: Access) -> Policy {
    Policy { access, peer_ttl_s: 3600, idt_peer_ttl_s: 900, flush_interval_s: 10, total_peers_max: 0 }
}

impl Desk {
    pub fn open() -> Self {
        Self::with(policy(Access::Open))
    }

    pub fn with(policy: Policy) -> Self {
        Self {
            tracker: Tracker::new(policy, 42, TAG_KEY),

            mono_ms: 10_000_000,
            response: AnnounceResponse::default(),
            reach: Reach { peers_max: 50, families: Families::Both },
        }
    }

    pub fn now(&self) -> Now {
        Now { mono: self.mono_ms, unix: 1_700_000_000 + self.mono_ms / 1000 }
    }

    pub fn announce(&mut self, from: SocketAddr, request: &AnnounceRequest) -> Result<(), Refusal> {
        let now = self.now();
        self.tracker.announce(now, from, request, self.reach, &mut self.response)
    }

    /// Seeders and leechers as the last answer told them.
    pub fn told(&self) -> (u32, u32) {
        (self.response.complete, self.response.incomplete)
    }

    pub fn scrape(&mut self, hash: AnnouncedHash) -> ScrapeStats {
        let now = self.now();
        self.tracker.scrape(now, &hash).expect("admitted")
    }

    pub fn register(&mut self, hashes: InfoHashes, before: Option<InfoHashes>, completions: u64) {
        let now = self.now();
        self.tracker.register(now, hashes, before, completions);
    }

    pub fn sleep_s(&mut self, seconds: u64) {
        self.mono_ms += seconds * 1000;
    }

    /// Sweeps as the server does, for a minute.
    pub fn minute(&mut self) {
        let end = self.mono_ms + 60_000;
        while let Some(due) = self.tracker.sweep_due().filter(|due| *due <= end) {
            self.mono_ms = self.mono_ms.max(due);
            let now = self.now();
            self.tracker.sweep(now);
        }
        self.mono_ms = end;
    }
}

/// A regular announce of client `id`, with something left to download.
pub fn leech(hash: AnnouncedHash, id: u8) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: hash,
        peer_id: PeerId([id; 20]),
        port: 1,
        uploaded: 0,
        downloaded: 0,
        left: Some(5),
        event: Event::None,
        peers_wanted: None,
    }
}

/// The same with nothing left.
pub fn seed(hash: AnnouncedHash, id: u8) -> AnnounceRequest {
    AnnounceRequest { left: Some(0), ..leech(hash, id) }
}

pub fn with(event: Event, request: AnnounceRequest) -> AnnounceRequest {
    AnnounceRequest { event, ..request }
}

/// A swarm of its own for each number.
pub fn key(n: u32) -> AnnouncedHash {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    AnnouncedHash::Short(SwarmKey(bytes))
}

pub fn v4(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 6881))
}

pub fn v6(n: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 6881))
}

pub const V1: V1Hash = V1Hash([0x11; 20]);
pub const V2: V2Hash = V2Hash([0xee; 32]);

pub fn by_v1() -> AnnouncedHash {
    AnnouncedHash::Short(V1.key())
}

pub fn by_v2() -> AnnouncedHash {
    AnnouncedHash::Full(V2)
}

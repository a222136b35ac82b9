//! N peers in M torrents, computed from their number, so that a million of them take no memory here.

use std::net::Ipv4Addr;

/// Who announces what. A peer is its number, below `peers`.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    /// Peers, each with an address and port of its own.
    pub peers: u32,
    /// Torrents; peer `i` is in torrent `i % torrents`, so every torrent grows while the others do.
    pub torrents: u32,
    /// How many of a hundred peers have everything.
    pub seeders_percent: u32,
    /// Loopback addresses the peers announce from; peer `i` is at source `i % sources`.
    pub sources: u32,
}

/// What every peer id begins with.
pub const PEER_ID_PREFIX: &[u8; 8] = b"-LD0001-";
/// Distinct ports used at one address.
const PORTS_PER_SOURCE: u32 = 60_000;
/// Fewer sources than this would make a rate limit or a connection id cache look better than it is.
const SOURCES_MIN: u32 = 64;

impl Population {
    /// A population spread over as many addresses as its ports need.
    pub fn new(peers: u32, torrents: u32, seeders_percent: u32) -> Self {
        let (peers, torrents) = (peers.max(1), torrents.max(1));
        let sources = peers.div_ceil(PORTS_PER_SOURCE).max(SOURCES_MIN);
        Self { peers, torrents, seeders_percent, sources }
    }

    /// The source of a peer.
    pub fn source(&self, peer: u32) -> u32 {
        peer % self.sources
    }

    /// A peer at `source`, `chance` deciding which.
    pub fn peer_at(&self, source: u32, chance: u32) -> u32 {
        let there = (self.peers + self.sources - 1 - source) / self.sources;
        if there == 0 { chance % self.peers } else { source + self.sources * (chance % there) }
    }

    /// The port a peer listens on.
    pub fn port(&self, peer: u32) -> u16 {
        u16::try_from(1024 + peer / self.sources).expect("sources grow with peers")
    }

    /// The info hash of a peer's torrent: bytes without a pattern.
    pub fn info_hash(&self, peer: u32) -> [u8; 20] {
        info_hash(peer % self.torrents)
    }

    /// A peer's id: the prefix and 12 letters that no other peer has.
    pub fn peer_id(&self, peer: u32) -> [u8; 20] {
        let mut id = [0; 20];
        id[..8].copy_from_slice(PEER_ID_PREFIX);
        let mut rest = mix(u64::from(peer)) & !0xffff_ffff | u64::from(peer);
        for letter in &mut id[8..] {
            *letter = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        id
    }

    /// Bytes a peer still misses.
    pub fn left(&self, peer: u32) -> u64 {
        u64::from(mix(u64::from(peer) ^ 0x5eed) % 100 >= u64::from(self.seeders_percent))
    }
}

/// The info hash of a torrent by its number.
pub fn info_hash(torrent: u32) -> [u8; 20] {
    let mut hash = [0; 20];
    for (word, chunk) in (0u64..).zip(hash.chunks_mut(8)) {
        let bytes = mix(u64::from(torrent) << 8 | word).to_be_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    hash
}

/// The address of a source: 127.0.1.1 and up.
pub fn address(source: u32) -> Ipv4Addr {
    let octet = |value: u32| (value % 250 + 1) as u8;
    Ipv4Addr::new(127, (source / 62_500) as u8, octet(source / 250), octet(source))
}

/// SplitMix64: a bijection, so distinct numbers give distinct words.
fn mix(value: u64) -> u64 {
    let mut word = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_peers_share_an_address_or_an_id() {
        for population in [Population::new(1, 1, 0), Population::new(200_000, 7, 50)] {
            let mut addresses = HashSet::new();
            let mut ids = HashSet::new();
            for peer in 0..population.peers {
                assert!(addresses.insert((address(population.source(peer)), population.port(peer))));
                assert!(ids.insert(population.peer_id(peer)));
            }
        }
    }

    #[test]
    fn five_million_peers_have_ports() {
        let population = Population::new(5_000_000, 500_000, 0);
        assert!(population.port(population.peers - 1) > 1024);
    }

    #[test]
    fn a_peer_at_a_source_is_there() {
        let population = Population::new(1000, 10, 0);
        for chance in 0..1000 {
            let source = chance % population.sources;
            let peer = population.peer_at(source, chance);
            assert!(peer < population.peers && population.source(peer) == source);
        }
    }
}

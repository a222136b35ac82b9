//! Imaginary peers: the address, port, peer id and torrent of each follow from its number, so that nothing is stored
//! and a second run announces the same ones.

use std::net::Ipv4Addr;

/// `count` peers spread evenly over `torrents` torrents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peers {
    /// How many peers.
    pub count: u32,
    /// In how many torrents.
    pub torrents: u32,
}

/// Source addresses. A prime, so that the peers of one torrent come from many of them, whatever the spread.
pub const SOURCES: u32 = 251;
/// More would need a port twice at one address.
pub const PEERS_MAX: u32 = SOURCES * 64_000;

impl Peers {
    /// The torrent that peer `n` is in.
    pub fn torrent(&self, n: u32) -> u32 {
        n % self.torrents
    }

    /// Whether peer `n` still downloads: one in four of each torrent does.
    pub fn is_leecher(&self, n: u32) -> bool {
        (n / self.torrents + n % self.torrents).is_multiple_of(4)
    }

    /// Any peer that still downloads. Only those ask again, because every tracker answers them with everybody, while
    /// some spare seeders the other seeders: so all do the same work.
    pub fn leecher(&self, rng: &mut fastrand::Rng) -> u32 {
        // With fewer than four peers there may be none.
        (0..64).map(|_| rng.u32(..self.count)).find(|n| self.is_leecher(*n)).unwrap_or(0)
    }

    /// The same among the peers at one source address.
    pub fn leecher_at(&self, source: u32, rng: &mut fastrand::Rng) -> u32 {
        let here = (self.count.saturating_sub(source)).div_ceil(SOURCES).max(1);
        let mut last = source;
        for _ in 0..64 {
            last = rng.u32(..here) * SOURCES + source;
            if self.is_leecher(last) {
                break;
            }
        }
        last
    }
}

/// The source address of peer `n`, as a number below `SOURCES`.
pub fn source(n: u32) -> u32 {
    n % SOURCES
}

/// A source address by its number.
pub fn source_ip(source: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, source as u8 + 1)
}

/// The port that peer `n` announces.
pub fn port(n: u32) -> u16 {
    (1024 + n / SOURCES) as u16
}

/// The info hash of torrent `t`.
pub fn info_hash(t: u32) -> [u8; 20] {
    twenty_bytes(u64::from(t) | 1 << 40)
}

/// The peer id of peer `n`.
pub fn peer_id(n: u32) -> [u8; 20] {
    let mut id = twenty_bytes(u64::from(n) | 1 << 41);
    id[..8].copy_from_slice(b"-WB0001-");
    id
}

/// Uniform bytes of a number (splitmix64).
fn twenty_bytes(n: u64) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (at, chunk) in bytes.chunks_mut(8).enumerate() {
        let mut z = (n * 3 + at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ z >> 31).to_le_bytes()[..chunk.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_peers_share_an_address_and_a_quarter_downloads() {
        let peers = Peers { count: 300_000, torrents: 1000 };
        let addresses: HashSet<_> = (0..peers.count).map(|n| (source_ip(source(n)), port(n))).collect();
        assert_eq!(addresses.len(), 300_000);
        assert_eq!((0..peers.count).filter(|n| peers.is_leecher(*n)).count(), 75_000);
        let of_one: HashSet<_> = (0..300).map(|i| source(i * 1000)).collect();
        assert_eq!(of_one.len(), 251, "a torrent's peers come from everywhere");
    }
}

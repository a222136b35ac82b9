//! A dense array of peers of one address family, in one allocation.
//!
//! `N` is 6 for IPv4 and 18 for IPv6: a compact address, exactly as it goes on the wire (BEP 23, BEP 7), so that a
//! reply is a copy. The parallel arrays behind the addresses hold what the tracker alone needs:
//!
//! ```text
//! capacity x N  address, port (big-endian)
//! capacity x 4  tag: keyed digest of the peer id
//! capacity x 2  tick of the last announce
//! capacity x 1  bits
//! ```
//!
//! A block keeps no order of its own; `Swarm` gives one to it.

use super::tick::{Lifetimes, Tick};

/// What the tracker keeps of a peer besides its address and age.
pub mod bits {
    /// The peer has everything.
    pub const SEEDER: u8 = 1;
    /// The peer has all it wants but not everything (BEP 21).
    pub const PARTIAL: u8 = 2;
    /// It announced the v1 hash of a hybrid.
    pub const V1: u8 = 4;
    /// It announced the v2 hash of a hybrid.
    pub const V2: u8 = 8;
    /// Its completed download has been counted.
    pub const COUNTED: u8 = 16;
    /// It registered by the idtorrent route, which has a lifetime of its own.
    pub const IDT: u8 = 32;
    /// What decides who is offered the peer.
    pub const CLASS: u8 = SEEDER | PARTIAL | V1 | V2;
    /// The identities of a hybrid.
    pub const IDENTITIES: u8 = V1 | V2;
}

/// One peer, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer<const N: usize> {
    /// Address and port, big-endian.
    pub address: [u8; N],
    /// Keyed digest of its peer id.
    pub tag: u32,
    /// When it last announced.
    pub seen: Tick,
    /// See `bits`.
    pub bits: u8,
}

/// Bytes of a peer besides its address.
const EXTRA: usize = 4 + 2 + 1;

/// A dense array of peers.
#[derive(Clone, Default, Debug)]
pub struct Block<const N: usize> {
    bytes: Box<[u8]>,
    len: u16,
    /// How many of the first are seeders; kept by `Swarm`, of no meaning here.
    pub(super) seeders: u8,
    /// How many after those are leechers that are not partial seeds; kept by `Swarm`, of no meaning here.
    pub(super) leechers: u8,
}

impl<const N: usize> Block<N> {
    /// How many peers it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All addresses, `N` bytes each.
    #[inline]
    pub fn addresses(&self) -> &[u8] {
        &self.bytes[..self.len() * N]
    }

    /// Where `address` stands.
    #[inline]
    pub fn find(&self, address: &[u8; N]) -> Option<usize> {
        self.addresses().as_chunks::<N>().0.iter().position(|known| known == address)
    }

    /// The address at `at`.
    #[inline]
    pub fn address(&self, at: usize) -> &[u8; N] {
        &self.addresses().as_chunks::<N>().0[at]
    }

    /// The bits at `at`.
    #[inline]
    pub fn bits(&self, at: usize) -> u8 {
        self.bytes[self.capacity() * (N + 6) + at]
    }

    /// The tag at `at`.
    #[inline]
    pub fn tag(&self, at: usize) -> u32 {
        let from = self.capacity() * N + at * 4;
        u32::from_le_bytes(self.bytes[from..from + 4].try_into().expect("four bytes"))
    }

    /// The tick at `at`.
    #[inline]
    pub fn seen(&self, at: usize) -> Tick {
        let from = self.capacity() * (N + 4) + at * 2;
        Tick(u16::from_le_bytes(self.bytes[from..from + 2].try_into().expect("two bytes")))
    }

    /// The peer at `at`.
    #[inline]
    pub fn peer(&self, at: usize) -> Peer<N> {
        debug_assert!(at < self.len());
        Peer { address: *self.address(at), tag: self.tag(at), seen: self.seen(at), bits: self.bits(at) }
    }

    /// Overwrites the peer at `at`.
    #[inline]
    pub fn set(&mut self, at: usize, peer: &Peer<N>) {
        debug_assert!(at < self.len());
        let capacity = self.capacity();
        self.bytes[at * N..at * N + N].copy_from_slice(&peer.address);
        let tag = capacity * N + at * 4;
        self.bytes[tag..tag + 4].copy_from_slice(&peer.tag.to_le_bytes());
        let seen = capacity * (N + 4) + at * 2;
        self.bytes[seen..seen + 2].copy_from_slice(&peer.seen.0.to_le_bytes());
        self.bytes[capacity * (N + 6) + at] = peer.bits;
    }

    /// Overwrites the peer at `to` with the one at `from`.
    #[inline]
    pub fn copy(&mut self, from: usize, to: usize) {
        if from != to {
            let peer = self.peer(from);
            self.set(to, &peer);
        }
    }

    /// Adds a peer at the end.
    pub fn push(&mut self, peer: &Peer<N>) {
        if self.len() == self.capacity() {
            self.resize(grown(self.capacity()));
        }
        self.len += 1;
        self.set(self.len() - 1, peer);
    }

    /// Drops the last peer, and memory when much of it is unused.
    pub fn pop(&mut self) {
        debug_assert!(self.len > 0);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len() * 2 < self.capacity() && self.capacity() > 4 {
            self.resize(self.len() + self.len() / 4);
        }
    }

    /// Takes the peer at `at` out; the last one takes its place.
    pub fn swap_remove(&mut self, at: usize) {
        let last = self.len() - 1;
        self.copy(last, at);
        self.pop();
    }

    /// Reads a byte of every cache line of a small block, and of the first ones and the ticks of a large one.
    #[inline]
    pub fn foresee(&self) -> u8 {
        let at = |at: usize| self.bytes.get(at).copied().unwrap_or(0);
        let ticks = self.capacity() * (N + 4);
        at(0) ^ at(64) ^ at(ticks) ^ at(self.bytes.len().wrapping_sub(1))
    }

    /// Whether any peer is past its lifetime.
    #[inline]
    pub fn any_expired(&self, now: Tick, lifetimes: &Lifetimes) -> bool {
        let from = self.capacity() * (N + 4);
        let ticks = self.bytes[from..from + self.len() * 2].as_chunks::<2>().0;
        let oldest = ticks.iter().map(|tick| now.since(Tick(u16::from_le_bytes(*tick)))).max();
        oldest.is_some_and(|age| age > lifetimes.shortest())
            && (0..self.len()).any(|at| lifetimes.over(now, self.seen(at), self.bits(at)))
    }

    /// The four arrays, without slack: addresses, tags, ticks, bits.
    pub fn columns(&self) -> [&[u8]; 4] {
        let (len, capacity) = (self.len(), self.capacity());
        [(0, N), (N, 4), (N + 4, 2), (N + 6, 1)]
            .map(|(offset, width)| &self.bytes[capacity * offset..][..len * width])
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.bytes.len() / (N + EXTRA)
    }

    fn resize(&mut self, capacity: usize) {
        debug_assert!(capacity >= self.len() && capacity <= u16::MAX as usize);
        let old = self.capacity();
        let mut bytes = vec![0; capacity * (N + EXTRA)].into_boxed_slice();
        for (offset, width) in [(0, N), (N, 4), (N + 4, 2), (N + 6, 1)] {
            let used = self.len() * width;
            bytes[capacity * offset..][..used].copy_from_slice(&self.bytes[old * offset..][..used]);
        }
        self.bytes = bytes;
    }
}

/// The next capacity: exact for the many tiny swarms, about an eighth of slack for the rest.
fn grown(capacity: usize) -> usize {
    match capacity {
        0..4 => capacity + 1,
        4..16 => capacity + 2,
        16..32 => capacity + 4,
        _ => capacity + 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> Peer<6> {
        Peer { address: [n, 1, 2, 3, 4, n], tag: 1000 + n as u32, seen: Tick(n as u16 * 7), bits: n % 4 }
    }

    #[test]
    fn what_was_pushed_is_found_through_every_resize() {
        let mut block = Block::<6>::default();
        for n in 0..200 {
            block.push(&peer(n));
        }
        for n in 0..200 {
            assert_eq!(block.peer(block.find(&peer(n).address).expect("was pushed")), peer(n));
        }
        for n in 0..200 {
            block.swap_remove(block.find(&peer(n).address).expect("not removed yet"));
            assert_eq!(block.find(&peer(n).address), None);
            assert!(block.heap_bytes() <= 13 * (block.len() * 2 + 4), "memory goes with the peers");
        }
        assert_eq!(block.heap_bytes(), 0);
    }

    #[test]
    fn a_lone_peer_takes_thirteen_bytes() {
        let mut block = Block::<6>::default();
        block.push(&peer(1));
        assert_eq!(block.heap_bytes(), 13);
        assert_eq!(size_of::<Block<6>>(), 24);
    }
}

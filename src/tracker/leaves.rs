//! A set of peers of any size, without an index and without ever being copied as a whole: linear hashing over blocks.
//!
//! The set grows and shrinks one leaf at a time, so an insert into a swarm of millions costs what it costs in a swarm
//! of a hundred. A leaf is short enough to be searched by eye.

use super::block::{Block, Peer};
use super::tick::{Lifetimes, Tick};
use crate::base::Rng;

/// Peers of one class, spread over leaves by a keyed hash of their address.
#[derive(Clone, Debug)]
pub struct Leaves<const N: usize> {
    leaves: Vec<Block<N>>,
    len: u32,
}

impl<const N: usize> Default for Leaves<N> {
    fn default() -> Self {
        Self { leaves: vec![Block::default()], len: 0 }
    }
}

impl<const N: usize> Leaves<N> {
    /// How many peers it holds.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many leaves it has.
    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// The peer with this address.
    pub fn find(&self, hash: u64, address: &[u8; N]) -> Option<Place> {
        let leaf = self.leaf_of(hash);
        self.leaves[leaf].find(address).map(|at| Place { leaf, at })
    }

    /// Reads a little of the leaf that this hash leads to.
    #[inline]
    pub fn foresee(&self, hash: u64) -> u8 {
        self.leaves[self.leaf_of(hash)].foresee()
    }

    /// The peer at `place`.
    pub fn peer(&self, place: Place) -> Peer<N> {
        self.leaves[place.leaf].peer(place.at)
    }

    /// Overwrites the peer at `place` by one of the same address.
    pub fn set(&mut self, place: Place, peer: &Peer<N>) {
        debug_assert_eq!(*self.leaves[place.leaf].address(place.at), peer.address);
        self.leaves[place.leaf].set(place.at, peer);
    }

    /// Adds a peer whose address is not in the set.
    pub fn insert(&mut self, hash: u64, peer: &Peer<N>, hash_of: impl Fn(&[u8; N]) -> u64) {
        let leaf = self.leaf_of(hash);
        self.leaves[leaf].push(peer);
        self.len += 1;
        if self.len as usize > self.leaves.len() * LEAF_PEERS_MEAN {
            self.split(hash_of);
        }
    }

    /// Takes the peer at `place` out.
    pub fn remove(&mut self, place: Place) {
        self.leaves[place.leaf].swap_remove(place.at);
        self.len -= 1;
        if self.leaves.len() > 1 && (self.len as usize) < self.leaves.len() * LEAF_PEERS_MEAN / 2 {
            self.merge();
        }
    }

    /// Forgets what has expired in one leaf; returns how many that were. A leaf that is no longer there has none.
    pub fn expire(&mut self, leaf: usize, now: Tick, lifetimes: &Lifetimes) -> u32 {
        let Some(block) = self.leaves.get_mut(leaf) else { return 0 };
        if !block.any_expired(now, lifetimes) {
            return 0;
        }
        let before = block.len();
        for at in (0..before).rev() {
            if lifetimes.over(now, block.seen(at), block.bits(at)) {
                block.swap_remove(at);
            }
        }
        let gone = (before - block.len()) as u32;
        self.len -= gone;
        // Merging while a caller walks the leaves would move peers past it: `shrink` does it afterwards.
        gone
    }

    /// Gives leaves back after many peers have expired.
    pub fn shrink(&mut self) {
        while self.leaves.len() > 1 && (self.len as usize) < self.leaves.len() * LEAF_PEERS_MEAN / 2 {
            self.merge();
        }
    }

    /// Copies up to `limit` addresses to `out`, from a random peer on and round, each once; not `except`.
    /// Expired peers are dropped on the way, never copied. Returns how many were copied.
    pub fn pick(
        &mut self,
        limit: usize,
        except: Option<(u64, &[u8; N])>,
        lease: (Tick, &Lifetimes),
        rng: &mut Rng,
        out: &mut Vec<u8>,
    ) -> usize {
        if self.is_empty() || limit == 0 {
            return 0;
        }
        let own_leaf = except.map(|(hash, _)| self.leaf_of(hash));
        let (first, start) = self.anywhere(rng);
        self.expire(first, lease.0, lease.1);
        let start = start.min(self.leaves[first].len());
        let count = self.leaves.len();
        let mut left = limit;
        // The first leaf is walked in two parts, its end first and its beginning last.
        for step in 0..=count {
            if left == 0 {
                break;
            }
            let leaf = (first + step) % count;
            if step > 0 && step < count {
                self.expire(leaf, lease.0, lease.1);
            }
            let block = &self.leaves[leaf];
            let range = match step {
                0 => start..block.len(),
                _ if step == count => 0..start.min(block.len()),
                _ => 0..block.len(),
            };
            let skip = if own_leaf == Some(leaf) { except.map(|(_, address)| address) } else { None };
            left -= copy_range(block, range, left, skip, out);
        }
        limit - left
    }

    /// How many peers there are besides `except`.
    pub fn eligible(&self, except: Option<(u64, &[u8; N])>) -> usize {
        let own = except.is_some_and(|(hash, address)| self.find(hash, address).is_some());
        self.len as usize - usize::from(own)
    }

    /// A leaf and a position in it, each peer as likely as any other: leaves differ in length, so a throw that is
    /// beyond the end of its leaf is repeated.
    fn anywhere(&self, rng: &mut Rng) -> (usize, usize) {
        let mut leaf = 0;
        for _ in 0..THROWS_MAX {
            leaf = rng.below(self.leaves.len() as u32) as usize;
            let at = rng.below(LEAF_PEERS_MANY as u32) as usize;
            if at < self.leaves[leaf].len() {
                return (leaf, at);
            }
        }
        (leaf, 0)
    }

    /// Every leaf.
    pub fn blocks(&self) -> &[Block<N>] {
        &self.leaves
    }

    /// Every peer.
    pub fn iter(&self) -> impl Iterator<Item = Peer<N>> + '_ {
        self.leaves.iter().flat_map(|leaf| (0..leaf.len()).map(|at| leaf.peer(at)))
    }

    /// Linear hashing: as many low bits of the hash as there are leaves for.
    #[inline]
    fn leaf_of(&self, hash: u64) -> usize {
        let count = self.leaves.len();
        let wide = count.next_power_of_two();
        let leaf = hash as usize & (wide - 1);
        if leaf < count { leaf } else { leaf & (wide / 2 - 1) }
    }

    fn split(&mut self, hash_of: impl Fn(&[u8; N]) -> u64) {
        let fresh = self.leaves.len();
        let buddy = fresh - (fresh + 1).next_power_of_two() / 2;
        if self.leaves.len() == self.leaves.capacity() {
            self.leaves.reserve_exact(fresh / 8 + 1);
        }
        self.leaves.push(Block::default());
        let old = std::mem::take(&mut self.leaves[buddy]);
        for at in 0..old.len() {
            let leaf = self.leaf_of(hash_of(old.address(at)));
            debug_assert!(leaf == buddy || leaf == fresh);
            self.leaves[leaf].push(&old.peer(at));
        }
    }

    fn merge(&mut self) {
        let Some(last) = self.leaves.pop() else { return };
        let buddy = self.leaves.len() - (self.leaves.len() + 1).next_power_of_two() / 2;
        for at in 0..last.len() {
            self.leaves[buddy].push(&last.peer(at));
        }
    }
}

/// Where a peer stands in a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    leaf: usize,
    at: usize,
}

/// Copies at most `limit` addresses of `range` without `skip`; returns how many.
fn copy_range<const N: usize>(
    block: &Block<N>,
    range: std::ops::Range<usize>,
    limit: usize,
    skip: Option<&[u8; N]>,
    out: &mut Vec<u8>,
) -> usize {
    let addresses = &block.addresses()[range.start * N..range.end * N];
    let Some(skip) = skip else {
        let bytes = addresses.len().min(limit * N);
        out.extend_from_slice(&addresses[..bytes]);
        return bytes / N;
    };
    let before = out.len();
    for address in addresses.as_chunks::<N>().0.iter().filter(|address| *address != skip).take(limit) {
        out.extend_from_slice(address);
    }
    (out.len() - before) / N
}

/// Peers in a leaf on average: few enough to search one by one, enough that a reply of 50 takes two leaves.
const LEAF_PEERS_MEAN: usize = 48;
/// Hardly any leaf is longer, even when it is the next to be split.
const LEAF_PEERS_MANY: usize = 128;
/// Throws for a random peer at most. With leaves as full as usual nearly every third one hits.
const THROWS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn hash_of(address: &[u8; 6]) -> u64 {
        let n = u64::from(u32::from_be_bytes(address[..4].try_into().expect("four bytes")));
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7
    }

    fn peer(n: u32) -> Peer<6> {
        let [a, b, c, d] = n.to_be_bytes();
        Peer { address: [a, b, c, d, 1, 1], tag: n, seen: Tick(0), bits: 0 }
    }

    /// Grows to 20,000 peers and shrinks again; after each thousand steps everything is still found.
    #[test]
    fn linear_hashing_keeps_every_peer_while_it_grows_and_shrinks() {
        let mut set = Leaves::<6>::default();
        for n in 0..20_000 {
            set.insert(hash_of(&peer(n).address), &peer(n), hash_of);
            if n % 1000 == 0 {
                assert!((0..=n).all(|n| set.find(hash_of(&peer(n).address), &peer(n).address).is_some()));
            }
        }
        assert!(set.leaves.iter().all(|leaf| leaf.len() < 4 * LEAF_PEERS_MEAN), "leaves stay short");
        for n in 0..20_000 {
            let place = set.find(hash_of(&peer(n).address), &peer(n).address).expect("not removed yet");
            assert_eq!(set.peer(place), peer(n));
            set.remove(place);
        }
        assert_eq!((set.len(), set.leaf_count()), (0, 1));
    }

    #[test]
    fn a_pick_has_no_duplicates_no_requester_and_everybody_when_asked() {
        let mut set = Leaves::<6>::default();
        for n in 0..500 {
            set.insert(hash_of(&peer(n).address), &peer(n), hash_of);
        }
        let own = peer(77).address;
        let lifetimes = Lifetimes::new(3600, 900);
        let mut rng = Rng::new(5);
        for limit in [1, 7, 50, 499, 600] {
            let mut out = Vec::new();
            let got = set.pick(limit, Some((hash_of(&own), &own)), (Tick(1), &lifetimes), &mut rng, &mut out);
            let unique: BTreeSet<_> = out.as_chunks::<6>().0.iter().collect();
            assert_eq!(got, limit.min(499));
            assert_eq!(unique.len(), got);
            assert!(!unique.contains(&own));
        }
    }

    #[test]
    fn an_expired_peer_is_never_picked() {
        let mut set = Leaves::<6>::default();
        for n in 0..300 {
            let seen = if n % 3 == 0 { Tick(0) } else { Tick(4000) };
            set.insert(hash_of(&peer(n).address), &Peer { seen, ..peer(n) }, hash_of);
        }
        let lifetimes = Lifetimes::new(3600, 900);
        let mut out = Vec::new();
        assert_eq!(set.pick(1000, None, (Tick(4000), &lifetimes), &mut Rng::new(1), &mut out), 200);
        assert_eq!(set.len(), 200);
    }
}

//! One torrent in the table: its key, what is known of it, and its peers of both families. 64 bytes, so that the many
//! torrents with one peer cost little.

use super::block::{Peer, bits};
use super::swarm::{Context, Counts, Swarm};
use crate::base::{Rng, SwarmKey};

/// What is known of a key.
pub mod flags {
    /// In the registry.
    pub const REGISTERED: u8 = 1;
    /// Taken down.
    pub const BLOCKED: u8 = 2;
    /// A registered hybrid: its peers carry identity bits.
    pub const HYBRID: u8 = 8;
    /// Its count of completed downloads is newer than the database's.
    pub const COUNTED: u8 = 16;
    /// Its count of seeders is newer than the registry's.
    pub const RERANKED: u8 = 32;
}

/// One torrent.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The key it is found by.
    pub key: SwarmKey,
    /// Completed downloads, as far as 32 bits go.
    pub completed: u32,
    /// Its index among the slice's registrations, or `NO_REGISTRATION`.
    pub registration: u32,
    /// See `flags`.
    pub flags: u8,
    /// IPv4 peers.
    pub v4: Swarm<6>,
    /// IPv6 peers, which most torrents have none of.
    pub v6: Option<Box<Swarm<18>>>,
}

/// The value of `Slot::registration` that means none.
pub const NO_REGISTRATION: u32 = u32::MAX;

impl Slot {
    /// A torrent nothing is known of yet.
    pub fn new(key: SwarmKey) -> Self {
        Self { key, completed: 0, registration: NO_REGISTRATION, flags: 0, v4: Swarm::default(), v6: None }
    }

    /// Whether any of `wanted` is set.
    #[inline]
    pub fn is(&self, wanted: u8) -> bool {
        self.flags & wanted != 0
    }

    /// Counts of both families.
    #[inline]
    pub fn counts(&self) -> FamilyCounts {
        FamilyCounts {
            v4: self.v4.counts(),
            v6: self.v6.as_ref().map(|swarm| swarm.counts()).unwrap_or_default(),
        }
    }

    /// Peers of both families.
    pub fn len(&self) -> u32 {
        self.v4.len() + self.v6.as_ref().map_or(0, |swarm| swarm.len())
    }

    /// Whether no peer is here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_forgettable(&self) -> bool {
        self.flags == 0 && self.is_empty()
    }

    /// Forgets expired peers as cheaply as an announce may.
    #[inline]
    pub fn expire_some(&mut self, context: &Context<'_>, rng: &mut Rng) {
        self.v4.expire_some(context, rng);
        if let Some(swarm) = &mut self.v6 {
            swarm.expire_some(context, rng);
        }
    }

    /// Forgets every expired peer of these leaves; returns whether there are more leaves.
    pub fn expire_leaves(&mut self, from: usize, to: usize, context: &Context<'_>) -> bool {
        let mut more = self.v4.expire_leaves(from, to, context);
        if let Some(swarm) = &mut self.v6 {
            more |= swarm.expire_leaves(from, to, context);
        }
        self.drop_empty_family();
        more
    }

    /// Gives the memory of an IPv6 swarm back when it is empty.
    #[inline]
    pub fn drop_empty_family(&mut self) {
        if self.v6.as_ref().is_some_and(|swarm| swarm.is_empty()) {
            self.v6 = None;
        }
    }

    /// Rewrites every peer's identity bits by `change`; a peer for which it returns `None` goes.
    pub fn rewrite_identities(&mut self, context: &Context<'_>, change: impl Fn(u8) -> Option<u8>) {
        fn rewrite<const N: usize>(
            swarm: &mut Swarm<N>,
            context: &Context<'_>,
            change: &impl Fn(u8) -> Option<u8>,
        ) {
            let old = std::mem::take(swarm);
            for mut peer in old.peers() {
                if let Some(identities) = change(peer.bits & bits::IDENTITIES) {
                    peer.bits = peer.bits & !bits::IDENTITIES | identities;
                    swarm.put(None, &peer, context);
                }
            }
        }
        rewrite(&mut self.v4, context, &change);
        if let Some(swarm) = &mut self.v6 {
            rewrite(swarm, context, &change);
        }
        self.drop_empty_family();
    }

    /// Takes over the peers of `other`, joining those that are in both.
    pub fn absorb(&mut self, other: Slot, context: &Context<'_>) {
        for peer in other.v4.peers() {
            join(&mut self.v4, &peer, context);
        }
        if let Some(swarm) = other.v6 {
            for peer in swarm.peers() {
                join(self.v6.get_or_insert_default(), &peer, context);
            }
        }
        self.drop_empty_family();
    }
}

/// Puts a peer in; if its address is known already, the later record wins and the identities add up. Of records past
/// their lifetime nothing is kept.
pub fn join<const N: usize>(swarm: &mut Swarm<N>, peer: &Peer<N>, context: &Context<'_>) {
    let is_over = |peer: &Peer<N>| context.lifetimes.over(context.now, peer.seen, peer.bits);
    if is_over(peer) {
        return;
    }
    let known = swarm.find(&peer.address, context);
    let joined = match known {
        Some(known) if !is_over(&known) => {
            let peer_is_later = context.now.since(peer.seen) <= context.now.since(known.seen);
            let later = if peer_is_later { *peer } else { known };
            let kept = (known.bits | peer.bits) & (bits::IDENTITIES | bits::COUNTED);
            Peer { bits: later.bits | kept, ..later }
        }
        _ => *peer,
    };
    swarm.put(known.as_ref(), &joined, context);
}

/// Counts of both families.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FamilyCounts {
    /// IPv4.
    pub v4: Counts,
    /// IPv6.
    pub v6: Counts,
}

impl FamilyCounts {
    /// Seeders of both.
    #[inline]
    pub fn seeders(&self) -> u32 {
        self.v4.seeders + self.v6.seeders
    }

    /// Leechers of both.
    #[inline]
    pub fn leechers(&self) -> u32 {
        self.v4.leechers + self.v6.leechers
    }

    /// Peers of both.
    #[inline]
    pub fn peers(&self) -> u32 {
        self.seeders() + self.leechers()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
    }
}
